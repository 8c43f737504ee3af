"""``coalmine analysis record`` on a real Prometheus: the recording is judged as the windows are that a live reader gets."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

import pytest

from analysis.api.prometheus import PrometheusCounts
from analysis.judges import judge
from analysis.model.counts import Arm
from analysis.model.policy import ErrorPolicy, Policy
from analysis.model.verdict import Decision
from analysis.providers.prometheus import open_counts
from analysis.run.files import read_recording
from analysis.run.record import Recorder
from analysis.run.replay import replay
from coalmine.recording.cluster import prometheus_feed

pytestmark = pytest.mark.integration
BOUNDS = (100.0, 1000.0)
VERSIONS = ("--canary", 'pod=~"payment-canary-.*"', "--baseline", 'pod="payment-a"')
QUICK = ("--preset", "Http", "--scrape-interval", "1s", "--lateness", "0s", "--history", "1m")


async def start(*arguments, **env):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "coalmine",
        "analysis",
        "record",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", **env} if env else None,
    )


async def run(*arguments, **env):
    """Return the exit code, standard output and standard error."""
    process = await start(*arguments, **env)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def release(make):
    """A canary that fails every second request, and the Prometheus that scraped it; since when, and until when."""
    server, (stable, canary) = await make("payment-a", "payment-canary-b")
    since = time.time()
    for _ in range(5):
        stable.serve("200", 200)
        canary.serve("200", 20)
        canary.serve("500", 20, "1")
        await asyncio.gather(stable.scraped(1), canary.scraped(1))
    await asyncio.gather(stable.scraped(), canary.scraped())
    return server, since, time.time()


def options(server, since, until):
    return ("--prometheus", server.address, *VERSIONS, *QUICK, "--since", since, "--until", until, "--step", since)


async def test_a_release_is_judged_again_as_it_would_have_been_live(release, context, tmp_path):
    server, since, until = release
    path = tmp_path / "release.jsonl.gz"
    code, out, err = await run(*options(server, since, until), "-o", path, "--title", "payment v2")
    assert (code, out) == (0, ""), err
    assert f"judge it with: coalmine analysis replay {path}" in err.replace("\n", " ")
    recording = read_recording(path)
    assert recording.bounds_ms == BOUNDS
    assert recording.title == "payment v2"
    assert recording.step_starts == (pytest.approx(since),)

    settings = PrometheusCounts(
        address=server.address, preset="Http", canary=VERSIONS[1], baseline=VERSIONS[3], scrape_interval=1, lateness=0
    )
    source = open_counts(settings, context, bounds_ms=BOUNDS)
    recorded_until = recording.windows[-1].end  # what was not settled yet is not in it
    live = [w for w in await source.read(since - 60, until) if w.end <= recorded_until]
    await source.close()
    assert sum(pod.errors for w in live for pod in w.pods) == 100
    rows = [(w.start, p) for w in recording.windows for p in w.pods]
    expected = [(w.start, p) for w in live for p in w.pods if p.arm is Arm.BASELINE or w.start >= since]
    assert sorted(rows, key=repr) == sorted(expected, key=repr)

    policy = Policy(BOUNDS, errors=ErrorPolicy(warm_up=0.0))
    (*_, last) = replay(recording, policy)
    verdict = judge(
        [w for w in live if w.end <= last.time + 1e-6],
        policy,
        pods_started=recording.pods_started,
        step_starts=[since],
        now=last.time,
    )
    assert last.verdict.decision is verdict.decision is Decision.ROLL_BACK


async def test_what_lies_ahead_is_recorded_until_somebody_ends_it_and_all_on_stdout_is_the_recording(make):
    server, (stable, canary) = await make("payment-a", "payment-canary-b")
    since = time.time() - 30
    process = await start(*options(server, since, since + 3600), "-o", "-")
    recorded = asyncio.create_task(process.communicate())
    for _ in range(2):
        stable.serve("200", 10)
        canary.serve("200", 10)
        await asyncio.gather(stable.scraped(3), canary.scraped(3))
    process.send_signal(signal.SIGINT)
    out, err = await recorded
    assert process.returncode == 130, err
    header, *lines = [json.loads(line) for line in out.decode().splitlines()]
    assert header["boundsMs"] == [100, 1000]
    assert sum(line["attempts"] for line in lines if line["arm"] == "canary") > 0


async def test_a_source_file_names_its_secrets_and_errors_name_the_fix(release, tmp_path):
    server, since, until = release
    source = tmp_path / "rollout.yaml"
    source.write_text(
        f"""
        kind: Rollout
        spec: {{analysis: {{source: {{prometheus: {{
          address: {server.address}, preset: Http, scrapeInterval: 1s, lateness: 0s,
          bearerToken: {{name: prometheus, key: token}}}}}}}}}}
        """
    )
    common = ("--source", source, *VERSIONS, "--since", since, "--until", until, "-o", tmp_path / "r.jsonl")
    code, _, err = await run(*common)
    assert code == 1
    assert "--secret prometheus/token=FILE" in err
    (tmp_path / "token").write_text("s3cret-token\n")
    code, _, err = await run(*common, "--secret", f"prometheus/token={tmp_path / 'token'}")
    assert code == 0, err
    assert "s3cret" not in err + (tmp_path / "r.jsonl").read_text()
    assert read_recording(tmp_path / "r.jsonl").windows


async def test_a_prometheus_that_is_not_there_leaves_no_file(tmp_path):
    path = tmp_path / "r.jsonl"
    code, _, err = await run(
        "--prometheus", "http://127.0.0.1:9", *VERSIONS, *QUICK, "--no-latency", "--since", "5m", "--timeout", "1s",
        "-o", path,
    )  # fmt: skip
    assert code == 1
    assert "nothing was recorded" in err
    assert "127.0.0.1:9" in err
    assert not path.exists()


async def test_a_rollouts_own_prometheus_is_asked_for_the_pods_that_the_cluster_names(make, context, eventually):
    server, (stable, canary) = await make("payment-a", "payment-canary-b")
    settings = PrometheusCounts(address=server.address, preset="Http", scrape_interval=1, lateness=0)
    arms = {"payment-a": Arm.BASELINE}
    feed = prometheus_feed(settings, context.secret, time.time, since=time.time() - 60, arms=arms, latency=True)
    recorder = Recorder()
    arms["payment-canary-b"] = Arm.CANARY  # it came later
    stable.serve("200", 50)
    canary.serve("200", 4)
    canary.serve("500", 1, "1")

    async def complete():
        if feed.bounds is not None:
            recorder.bounds_ms = feed.bounds
            recorder.add(feed.take(), feed.problems)
        return {arm: (sums.attempts, sums.errors) for arm, sums in recorder.sums().items()} == {
            Arm.BASELINE: (50, 0),
            Arm.CANARY: (5, 1),
        }

    await eventually(complete, "what was served")
    assert recorder.bounds_ms == BOUNDS
    assert recorder.guessed() == ("payment-canary-b",)
    await feed.close()
