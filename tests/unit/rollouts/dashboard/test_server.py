"""The dashboard's API over a real socket: reading, live events, guards."""

from __future__ import annotations

import asyncio

import pytest

from rollouts.dashboard import live
from rollouts.dashboard.rollouts import row_of


async def test_the_list_has_a_row_for_each_rollout_sorted(serve, rollout, releasing):
    served = await serve()
    for body in (rollout("search"), releasing("payment"), rollout("ledger", "bank")):
        served.put(body)
    answer, found = await served.get("/api/v1/rollouts")
    assert answer.status == 200
    assert [(r["namespace"], r["name"], r["tone"]) for r in found["rollouts"]] == [
        ("bank", "ledger", "good"),
        ("shop", "payment", "busy"),
        ("shop", "search", "good"),
    ]
    again, _ = await served.get("/api/v1/rollouts", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    served.drop("bank", "ledger")
    changed, found = await served.get("/api/v1/rollouts", **{"If-None-Match": answer.headers["ETag"]})
    assert changed.status == 200
    assert len(found["rollouts"]) == 2


async def test_a_page_gets_all_rows_and_then_only_those_that_changed(serve, rollout, releasing):
    served = await serve()
    served.put(rollout("search"))
    served.put(rollout("payment"))
    async with served.stream("rollouts") as events:
        _, first = await events.next()
        assert first["full"]
        assert [r["name"] for r in first["rollouts"]] == ["payment", "search"]
        served.put(releasing("payment"))
        _, change = await events.next()
        assert not change["full"]
        assert change["version"] == first["version"] + 1
        assert [(r["name"], r["phase"]) for r in change["changed"]] == [("payment", "Progressing")]
        served.drop("shop", "search")
        _, change = await events.next()
        assert (change["changed"], change["removed"]) == ([], ["shop/search"])


async def test_many_pages_cost_each_row_once(serve, rollout, releasing, monkeypatch):
    made = []

    def counted(body):
        made.append(body["metadata"]["name"])
        return row_of(body)

    monkeypatch.setattr(live, "row_of", counted)
    served = await serve()
    names = [f"r{number}" for number in range(30)]
    for name in names:
        served.put(rollout(name))
    async with asyncio.TaskGroup() as tasks:
        ready = asyncio.Barrier(21)

        async def look():
            async with served.stream("rollouts") as events:
                await events.next()
                await ready.wait()
                return await events.until(lambda data: not data["full"])

        looks = [tasks.create_task(look()) for _ in range(20)]
        await ready.wait()
        assert sorted(made) == sorted(names)
        served.put(releasing("r7"))
    assert made.count("r7") == 2
    assert len(made) == 31
    assert {look.result()["changed"][0]["name"] for look in looks} == {"r7"}


async def test_a_page_that_missed_changes_gets_the_whole_again(serve, rollout):
    served = await serve()
    served.put(rollout("payment"))
    async with served.live.looking(["rollouts"]) as slow, served.live.looking(["rollouts"]) as quick:
        list(slow.messages())
        list(quick.messages())
        for number in range(3):
            served.put(rollout("payment", status={"message": f"{number}"}))
            await quick.wake.wait()
            ((_, data),) = quick.messages()
            assert b'"full":false' in data
        ((_, data),) = slow.messages()
        assert b'"full":true' in data
        assert b'"message":"2"' in data
        assert list(slow.messages()) == []


async def test_nothing_is_made_while_nobody_looks(serve, rollout, monkeypatch):
    served = await serve()
    monkeypatch.setattr(live, "row_of", lambda _: pytest.fail("nobody looks"))
    for number in range(50):
        served.put(rollout("payment", status={"message": f"{number}"}))
    async with served.stream("rollout/shop/payment") as events:
        _, data = await events.next()
        assert data["rollout"]["message"] == "49"


async def test_one_rollout_comes_whole_and_then_with_what_is_new(serve, releasing, clock):
    served = await serve()
    said = {"number": 31, "at": clock.time - 95, "type": "Normal", "reason": "ReleaseStarted", "note": "changed"}
    served.put(releasing(internal={"announcements": [said]}))
    async with served.stream("rollout/shop/payment") as events:
        _, first = await events.next()
        assert first["full"]
        assert [i["number"] for i in first["timeline"]["items"]] == [31]
        assert first["series"]["evidence"]["errors"]["estimate"] == [0.0002]
        clock.time += 1
        more = {"number": 32, "at": clock.time, "type": "Normal", "reason": "StepStarted", "note": "step 3/3"}
        weight = {"configured": 100, "acknowledged": 50, "actual": 49.7, "proxies": "4/5"}
        served.put(releasing(step=2, weight=weight, internal={"announcements": [said, more]}))
        _, change = await events.next()
        assert not change["full"]
        assert [i["number"] for i in change["timeline"]["items"]] == [32]
        assert change["rollout"]["step"] == "3/3"
        assert change["series"]["weights"] == {
            "t": [clock.time],
            "configured": [100],
            "acknowledged": [50],
            "actual": [49.7],
            "step": [2],
        }
        assert change["series"]["evidence"]["errors"]["t"] == []
        served.drop("shop", "payment")
        _, gone = await events.next()
        assert (gone["full"], gone["gone"]) == (True, True)
        served.put(releasing())
        _, back = await events.next()
        assert back["full"]
        assert back["rollout"]["uid"]


async def test_the_get_of_one_rollout_is_the_same_as_the_stream_begins_with(serve, releasing):
    served = await serve()
    served.put(releasing())
    _, got = await served.get("/api/v1/rollouts/shop/payment")
    async with served.stream("rollout/shop/payment") as events:
        _, first = await events.next()
    assert {k: v for k, v in first.items() if k != "full"} == got
    answer, error = await served.get("/api/v1/rollouts/shop/nobody")
    assert (answer.status, error["error"]) == (404, "there is no Rollout nobody in namespace shop")


async def test_the_history_of_all_has_the_newest_first(serve, rollout, stamp, clock):
    served = await serve()

    def ended(revision, ago, outcome="Promoted"):
        times = {"startedAt": stamp(clock.time - ago - 60), "endedAt": stamp(clock.time - ago)}
        return {"revision": revision, "outcome": outcome, "reason": "so", **times}

    served.put(rollout("payment", status={"history": [ended("a", 300), ended("b", 100, "RolledBack")]}))
    served.put(rollout("ledger", "bank", status={"history": [ended("c", 200, "Overridden")]}))
    _, found = await served.get("/api/v1/history")
    assert [(e["revision"], e["good"], e["seconds"]) for e in found["entries"]] == [
        ("b", False, 60.0),
        ("c", True, 60.0),
        ("a", True, 60.0),
    ]
    _, found = await served.get("/api/v1/history?namespace=shop&limit=1")
    assert [e["revision"] for e in found["entries"]] == ["b"]
    answer, _ = await served.get("/api/v1/history?limit=many")
    assert answer.status == 400


async def test_unknown_topics_and_paths_are_refused_in_words(serve):
    served = await serve()
    for query, words in (
        ("", "topics is missing"),
        ("?topics=rolouts", "there is no topic rolouts"),
        ("?topics=rollout/shop", "there is no topic rollout/shop"),
        ("?topics=" + ",".join(f"rollout/a/{n}" for n in range(5)), "5 Rollouts at once"),
    ):
        answer, error = await served.get(f"/api/v1/stream{query}")
        assert (answer.status, error["error"]) == (400, words)
    answer, error = await served.get("/api/v1/nothing")
    assert (answer.status, error["fix"]) == (404, "docs/dashboard-api.md has what there is")


@pytest.mark.parametrize("path", ["/", "/api/v1/rollouts", "/api/v1/nothing", "/missing.js"])
async def test_every_answer_has_the_headers_that_keep_the_page_to_itself(serve, path):
    served = await serve()
    answer, _ = await served.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("127.0.0.1:15091", True),
        ("[::1]:15091", True),
        ("localhost:15091", True),
        ("10.2.3.4", True),
        ("coalmine.coalmine-system.svc", True),
        ("coalmine.coalmine-system.svc.cluster.local:80", True),
        ("coalmine.example.com", True),
        ("a.rollouts.example.com", True),
        ("evil.example.net", False),
        ("rollouts.example.com.evil.net", False),
        ("127.0.0.1.evil.net", False),
    ],
)
async def test_a_name_that_is_not_ours_reads_nothing(serve, host, taken):
    served = await serve(hosts=("coalmine.example.com", "*.rollouts.example.com"))
    answer, body = await served.get("/api/v1/rollouts", Host=host)
    assert answer.status == (200 if taken else 421)
    assert taken or "dashboard.hosts" in body["fix"]


async def test_without_anonymous_reading_takes_a_token_of_somebody_who_may_list(serve, rollout):
    served = await serve(anonymous=False)
    served.put(rollout())
    served.kube.users |= {"good": "jane", "poor": "joe"}
    served.kube.rules.add(("jane", "list", ""))
    for path in (
        "/api/v1/rollouts",
        "/api/v1/rollouts/shop/payment",
        "/api/v1/history",
        "/api/v1/stream?topics=rollouts",
    ):
        answer, error = await served.get(path)
        assert answer.status == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "kubectl create token" in error["fix"]
        answer, error = await served.get(path, Authorization="Bearer wrong")
        assert answer.status == 401
        answer, error = await served.get(path, Authorization="Bearer poor")
        assert answer.status == 403
        assert error["error"] == "joe may not list rollouts.coalmine.dev in the whole cluster"
    answer, _ = await served.get("/api/v1/rollouts", Authorization="Bearer good")
    assert answer.status == 200
    async with served.stream("rollouts", Authorization="Bearer good") as events:
        assert (await events.next())[1]["full"]
    reviews = sum(path.endswith("tokenreviews") for _, path in served.kube.asked)
    assert reviews == 3, "each token is asked about once in a while, not for each request"
    answer, info = await served.get("/api/v1/info")
    assert (answer.status, info["anonymous"]) == (200, False)


async def test_where_some_namespaces_are_watched_a_right_in_each_of_them_is_enough_to_look(serve, clock):
    served = await serve(anonymous=False, namespaces=("shop", "bank"))
    served.kube.users["good"] = "jane"
    served.kube.rules.add(("jane", "list", "shop"))
    answer, error = await served.get("/api/v1/rollouts", Authorization="Bearer good")
    assert (answer.status, error["error"]) == (403, "jane may not list rollouts.coalmine.dev in namespace bank")
    served.kube.rules.add(("jane", "list", "bank"))
    answer, _ = await served.get("/api/v1/rollouts", Authorization="Bearer good")
    assert answer.status == 403, "a refusal is remembered for a moment"
    clock.time += 6
    answer, _ = await served.get("/api/v1/rollouts", Authorization="Bearer good")
    assert answer.status == 200


async def test_an_api_server_that_is_away_is_said_and_reading_goes_on(serve, rollout):
    served = await serve()
    served.put(rollout())
    served.kube.down = True
    assert (await served.get("/api/v1/rollouts"))[0].status == 200
    answer, error = await served.get("/api/v1/whoami", Authorization="Bearer x")
    assert answer.status == 503
    assert "connection refused" in error["error"]


async def test_files_are_compressed_kept_for_ever_by_name_and_revalidated_otherwise(serve, tmp_path):
    static = tmp_path / "built"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Coalmine</title>")
    (static / "assets" / "app-4f2a.js").write_text("const x = 1;\n" * 500)
    served = await serve(pages=static)
    answer, body = await served.get("/")
    assert (answer.headers["Cache-Control"], answer.content_type) == ("no-cache", "text/html")
    again, _ = await served.get("/", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    page, same = await served.get("/rollouts/shop/payment")
    assert (page.status, same) == (200, body), "a page's own path is the page's"
    async with served.session.get(served.url + "/assets/app-4f2a.js") as script:
        assert script.headers["Content-Encoding"] == "gzip"
        assert "immutable" in script.headers["Cache-Control"]
        assert (await script.text()).startswith("const x")
        assert int(script.headers["Content-Length"]) < 200
    assert (await served.get("/assets/app-old.js"))[0].status == 404


async def test_pages_that_are_not_built_say_how(serve):
    served = await serve()
    answer, text = await served.get("/")
    assert answer.status == 200
    assert "make dashboard" in text
