"""Signed calls over a real socket: what counts, what does nothing, and what the caller is told."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from rollouts.api.names import DECISIONS_ANNOTATION
from rollouts.api.people import Approvals
from rollouts.core.approvals import read_decisions
from rollouts.gates.http import make_app
from rollouts.notify.signing import signature

NOW = 1_800_000_000.0
GATE = "promotion.0a1b2c3d.12"
SECRET = "whsec_" + base64.b64encode(b"a key of at least 24 bytes").decode()
OTHER = "whsec_" + base64.b64encode(b"another key of many more bytes").decode()


class ConflictError(Exception):
    status = 409


class Server:
    """An API server with one Rollout."""

    def __init__(self, **asked: Any) -> None:
        self.asked = {"gate": GATE, "restricted": True, "approvers": {"callers": ["change"]}, **asked}
        self.annotations: dict[str, str] = {}
        self.version = 1
        self.conflicts = 0
        self.down = False
        self.writes = 0

    async def request(self, method, path, *, query=None, body=None, content_type="application/json"):
        if self.down:
            raise OSError("no route to host")
        if not path.endswith("/namespaces/shop/rollouts/payment"):
            return None
        if method == "PATCH":
            if self.conflicts or body["metadata"]["resourceVersion"] != str(self.version):
                self.conflicts -= 1
                raise ConflictError
            self.annotations |= body["metadata"]["annotations"]
            self.version += 1
            self.writes += 1
        metadata = {"name": "payment", "resourceVersion": str(self.version), "annotations": dict(self.annotations)}
        return {"metadata": metadata, "status": {"approval": self.asked} if self.asked else {}}

    @property
    def decisions(self):
        return read_decisions(self.annotations.get(DECISIONS_ANNOTATION))


class Caller:
    def __init__(self, client, clock):
        self.client = client
        self.clock = clock

    async def __call__(self, key="call-1", *, at=None, secret=SECRET, body=None, place="shop/payment", **call):
        text = json.dumps(body if body is not None else {"gate": GATE, "verdict": "Approve", **call})
        moment = dt.datetime.fromtimestamp(self.clock[0] if at is None else at, dt.UTC)
        headers = {
            "webhook-id": key,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(key, moment, text),
        }
        async with self.client.post(f"/{place}", data=text, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def call(server, tmp_path):
    files = {"change": SECRET, "nightly": OTHER, "broken": "no key"}
    for name, secret in files.items():
        (tmp_path / name).write_text(f"{secret}\n")
    callers = [{"name": "gone", "secretFile": str(tmp_path / "gone")}]
    callers += [{"name": name, "secretFile": str(tmp_path / name)} for name in ("broken", "change")]
    callers += [{"name": "nightly", "secretFile": str(tmp_path / "nightly"), "namespaces": ["batch"]}]
    clock = [NOW]
    app = make_app(server, Approvals.model_validate({"callers": callers}), signature, clock=lambda: clock[0])
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, clock)


async def test_a_signed_call_counts_once_however_often_it_comes(server, call):
    status, answer = await call(comment="CHG-1234")
    assert (status, answer) == (200, {"answer": "Counted", "words": "the gate is passed"})
    (decision,) = server.decisions
    assert (decision.by, decision.via, decision.comment, decision.gate) == ("change", "HTTP", "CHG-1234", GATE)
    assert decision.at == "2027-01-15T08:00:00Z"
    status, answer = await call(comment="CHG-1234")
    assert (status, answer["answer"]) == (200, "Double")
    assert server.writes == 1


async def test_a_second_call_after_the_gate_was_decided_is_late(server, call):
    await call(verdict="Reject", comment="frozen")
    status, answer = await call("call-2")
    assert (status, answer["answer"]) == (409, "Late")
    assert answer["words"] == "it is decided: rejected by change (HTTP): frozen"


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"secret": "whsec_" + base64.b64encode(b"a key that nobody configured").decode()}, 401, "not that of any key"),
        ({"at": NOW - 301}, 401, "more than 300 s away"),
        ({"at": NOW + 301}, 401, "more than 300 s away"),
        ({"body": {"gate": GATE}}, 400, "verdict: Field required"),
        ({"body": {"gate": GATE, "verdict": "Approve", "by": "the boss"}}, 400, "by: Extra inputs"),
        ({"body": []}, 400, "body: "),
        ({"gate": "promotion.0a1b2c3d.11"}, 409, "is not asked (any more)"),
        ({"secret": OTHER}, 403, "caller nightly may not decide in namespace shop"),
        ({"place": "shop/unknown"}, 404, "there is no Rollout unknown in namespace shop"),
    ],
)
async def test_what_does_nothing_is_told(server, call, given, status, words):
    answered, said = await call(**given)
    assert answered == status
    assert words in (said.get("error") or said["words"])
    assert server.writes == 0


async def test_a_changed_body_is_no_longer_signed(server, call):
    text = json.dumps({"gate": GATE, "verdict": "Reject"})
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    headers = {"webhook-id": "x", "webhook-timestamp": str(int(NOW))}
    headers["webhook-signature"] = Webhook(SECRET).sign("x", moment, text)
    async with call.client.post("/shop/payment", data=text.replace("Reject", "Approve"), headers=headers) as response:
        assert response.status == 401
    del headers["webhook-id"]
    async with call.client.post("/shop/payment", data=text, headers=headers) as response:
        assert response.status == 400
    assert server.writes == 0


async def test_a_caller_whom_the_gate_does_not_name_does_nothing(server, call):
    server.asked["approvers"] = {"callers": ["another"]}
    status, answer = await call()
    assert (status, answer["answer"]) == (403, "Forbidden")
    assert server.writes == 0


async def test_after_the_deadline_a_call_is_late(server, call):
    server.asked["until"] = "2027-01-15T08:00:00Z"
    status, answer = await call()
    assert (status, answer["answer"]) == (409, "Late")
    assert answer["words"] == "the time for it was over at 2027-01-15T08:00:00Z"


async def test_when_nothing_is_asked_a_call_is_stale(server, call):
    server.asked = None
    status, answer = await call()
    assert (status, answer["answer"]) == (409, "Stale")


async def test_writes_of_others_in_between_lose_nothing(server, call):
    server.asked |= {"required": 2, "approvers": {"callers": ["change"], "users": ["alice"]}}
    alice = {"id": "7", "gate": GATE, "verdict": "Approve", "by": "alice", "via": "kubectl"}
    stale = {**alice, "id": "1", "gate": "step-1.0a1b2c3d.2"}
    server.annotations[DECISIONS_ANNOTATION] = json.dumps([stale, alice])
    server.conflicts = 3
    status, answer = await call()
    assert (status, answer["words"]) == (200, "the gate is passed")
    assert [d.by for d in server.decisions] == ["alice", "change"]


async def test_without_the_api_server_the_same_call_may_be_sent_again(server, call):
    server.down = True
    status, answer = await call()
    assert (status, answer["error"]) == (503, "it could not be stored now: send the same call again")
    server.down = False
    status, answer = await call()
    assert (status, answer["answer"]) == (200, "Counted")


async def test_a_new_key_counts_from_the_next_call_on(server, call, tmp_path):
    (tmp_path / "change").write_text(OTHER.replace("w", "w", 1))
    (tmp_path / "nightly").write_text(SECRET)
    assert (await call())[0] == 403, "it is nightly's key now"
