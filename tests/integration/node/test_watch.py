"""How the agent follows a collection, against a server that does what apiservers do on bad days."""

from __future__ import annotations

import json

import pytest
import yaml
from aiohttp import web

from coalmine.local.node.kube import KubeApi

pytestmark = pytest.mark.integration

LARGE = "x" * 3_000_000


def pod(name, version):
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


class Server:
    """Answers each list and each watch from a script."""

    def __init__(self, lists, watches):
        self.lists, self.watches, self.asked = list(lists), list(watches), []

    async def pods(self, request):
        if "watch" not in request.query:
            found = self.lists.pop(0)
            if isinstance(found, int):
                return web.json_response({"message": "not now"}, status=found)
            version, *items = found
            return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})
        self.asked.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.watches.pop(0):
            if event == "break":
                request.transport.abort()
                return response
            kind, item = event
            await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        return response


@pytest.fixture
async def follow(tmp_path):
    """Starts a server with a script and returns it with what a watch of it yields."""
    runners = []

    async def start(lists, watches, count):
        server = Server(lists, watches)
        app = web.Application()
        app.router.add_get("/api/v1/pods", server.pods)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config"} | config))
        seen = []
        async with KubeApi(path) as api:
            events = api.watch("/api/v1/pods")
            async for kind, item in events:
                names = [one["metadata"]["name"] for one in item] if kind == "LISTED" else item["metadata"]["name"]
                seen.append((kind, names))
                if len(seen) == count:
                    break
            await events.aclose()
        return server, seen

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_an_ended_stream_goes_on_at_the_last_version(follow):
    watches = [[("ADDED", pod("b", 6)), ("BOOKMARK", pod("", 9))], [("DELETED", pod("a", 11))]]
    server, seen = await follow([[5, pod("a", 1)]], watches, 3)
    assert seen == [("LISTED", ["a"]), ("ADDED", "b"), ("DELETED", "a")]
    assert server.asked == ["5", "9"]


async def test_an_expired_version_is_listed_anew(follow):
    gone = ("ERROR", {"code": 410, "message": "too old resource version"})
    server, seen = await follow([[5], [20, pod("a", 15)]], [[gone], [("MODIFIED", pod("a", 21))]], 3)
    assert seen == [("LISTED", []), ("LISTED", ["a"]), ("MODIFIED", "a")]
    assert server.asked == ["5", "20"]


async def test_a_broken_stream_and_a_server_that_refuses_are_overcome(follow):
    _, seen = await follow([503, [5], [7, pod("a", 6)]], [["break"]], 2)
    assert seen == [("LISTED", []), ("LISTED", ["a"])]


async def test_an_object_of_megabytes_arrives(follow):
    large = pod("large", 6) | {"data": LARGE}
    _, seen = await follow([[5]], [[("ADDED", large)]], 2)
    assert seen[1] == ("ADDED", "large")
