"""The command line of ``coalmine analysis record``: what is refused at once, and with which words."""

from __future__ import annotations

import time

import click
import pytest
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.local.layout import Layout
from coalmine.local.settings import Ports, Settings, save_settings
from coalmine.recording.cluster import kubeconfig_of, local_mesh_url
from coalmine.recording.follow import FollowError
from coalmine.recording.options import MOMENT, SPAN

ASKED = ("--prometheus", "http://127.0.0.1:9", "--preset", "Http")
ARMS = ("--canary", 'v="2"', "--baseline", 'v="1"')


def run(*arguments, **env):
    return CliRunner(env={"COLUMNS": "120", **env}).invoke(main, ["analysis", "record", *map(str, arguments)])


def test_help_shows_examples_and_sections():
    output = run("--help").output
    assert "  coalmine analysis record payment -n shop -o release.jsonl.gz\n" in output
    sections = [
        "Recording:",
        "A Rollout in a cluster:",
        "A span of time in Prometheus",
        "What Prometheus counts",
        "Other options:",
    ]
    places = [output.index(section) for section in sections]
    assert places == sorted(places)


def test_the_other_commands_are_still_there():
    output = CliRunner().invoke(main, ["analysis", "--help"]).output
    assert all(f"  {name} " in output for name in ("compare", "plan", "record", "replay"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "write the NAME of a Rollout, or --prometheus URL"),
        (("--last", *ASKED), "--last belongs to the NAME"),
        (("-n", "shop", *ASKED), "--namespace belongs to the NAME"),
        (ASKED, "write --since TIME"),
        (("payment", "--since", "5m"), "the Rollout tells them itself"),
        ((*ASKED, *ARMS, "--since", "5m", "--until", "1m", "--for", "3m"), "--for and --until both say when to end"),
        ((*ASKED, "--since", "5m"), "write --canary and --baseline"),
        ((*ASKED, "--since", "5m", "--canary", 'v="2"'), "canary and baseline belong together"),
        ((*ASKED, *ARMS, "--since", "1m", "--until", "5m"), "--since is not before --until"),
        ((*ASKED, *ARMS, "--since", "5m", "--step", "9m"), "is not between --since and --until"),
        ((*ASKED, *ARMS, "--since", "2026-11-21T09:00"), "write it with its zone, like 2026-11-21T09:00Z"),
        ((*ASKED, *ARMS, "--since", "5m", "--history", "ten"), "'ten' is not a duration: write it like 30s, 5m"),
        ((*ASKED, *ARMS, "--since", "5m", "--buckets", "5,x"), "write milliseconds like 5,10,25,50,100"),
        ((*ASKED, *ARMS, "--since", "5m", "--secret", "token.txt"), "write it as NAME/KEY=FILE"),
        ((*ASKED, *ARMS, "--since", "5m", "-o", "/no/such/folder/r.jsonl"), "there is no folder /no/such/folder"),
        ((*ASKED, *ARMS, "--since", "5m", "-o", "/dev/null", "--force"), "no regular file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(arguments, words):
    result = run(*arguments)
    assert result.exit_code in {1, 2}
    assert words in " ".join(result.output.split())


def test_a_recording_is_not_replaced_by_accident(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text("precious")
    result = run(*ASKED, *ARMS, "--since", "5m", "-o", file)
    assert result.exit_code == 1
    assert "--force to replace it" in result.output
    assert file.read_text() == "precious"


def test_without_any_cluster_it_says_how_to_name_one(tmp_path):
    result = run("payment", HOME=str(tmp_path), KUBECONFIG="", KUBERNETES_SERVICE_HOST=None)
    assert result.exit_code == 1
    assert "--kubeconfig FILE, or set KUBECONFIG" in result.output


def test_a_kubeconfig_is_found_as_kubectl_finds_it(tmp_path):
    usual = tmp_path / ".kube" / "config"
    usual.parent.mkdir()
    usual.write_text("")
    assert kubeconfig_of(usual, {"KUBECONFIG": "other"}) == usual
    assert str(kubeconfig_of(None, {"KUBECONFIG": "a:b", "HOME": str(tmp_path)})) == "a:b"
    assert kubeconfig_of(None, {"HOME": str(tmp_path)}) == usual
    assert kubeconfig_of(None, {"HOME": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None
    with pytest.raises(FollowError):
        kubeconfig_of(None, {"HOME": "/nowhere"})


def test_the_mesh_of_a_local_cluster_is_known(tmp_path):
    save_settings(Layout(tmp_path), Settings("default", "127.5.0.0/16", Ports(*range(20000, 20011))))
    ports = Ports(*range(20000, 20011))
    assert local_mesh_url(Layout(tmp_path).kubeconfig()) == f"http://127.0.0.1:{ports.mesh_http}"
    assert local_mesh_url(Layout(tmp_path).kubeconfig("mesh")) is None
    assert local_mesh_url(tmp_path.parent / "kubeconfig") is None
    assert local_mesh_url(None) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1770000000.5", 1770000000.5),
        ("2026-11-21T09:00Z", 1795251600.0),
        ("2026-11-21T10:00:30+01:00", 1795251630.0),
    ],
)
def test_times(text, seconds):
    assert MOMENT.convert(text, None, None) == seconds


def test_how_long_ago_is_a_time_too():
    before = time.time()
    found = MOMENT.convert("1h30m", None, None)
    assert before - 5400 <= found <= time.time() - 5400
    assert SPAN.convert("1h30m", None, None) == 5400


@pytest.mark.parametrize("text", ["yesterday", "nan", "inf", "-3", "2026-11-21 09:00"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter):
        MOMENT.convert(text, None, None)
