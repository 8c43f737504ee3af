"""What people do from the pages: in their own name, or not at all and with the reason."""

from __future__ import annotations

import pytest

from rollouts.dashboard.commands import COMMANDS, choices, patch_of, refusal
from rollouts.engine.kube import ConflictError, KubeError

PAYMENT = "/api/v1/rollouts/shop/payment/actions"


@pytest.fixture
async def served(serve, releasing):
    made = await serve()
    made.put(releasing())
    made.kube.users |= {"good": "jane", "poor": "joe"}
    made.kube.rules |= {("jane", "patch", "shop")}
    return made


async def test_a_command_is_given_with_the_persons_own_token_and_recorded(served, clock):
    status, answer = await served.post(f"{PAYMENT}/abort", "good", {"comment": "p99 of checkout\nis up"})
    assert (status, answer) == (
        200,
        {"action": "abort", "namespace": "shop", "name": "payment", "user": "jane", "at": clock.time},
    )
    ((token, path, patch),) = served.kube.patched
    assert token == "good"
    assert path == "/apis/coalmine.dev/v1alpha1/namespaces/shop/rollouts/payment"
    assert list(patch["metadata"]["annotations"]) == ["coalmine.dev/abort"]
    (event,) = served.kube.events
    assert event["note"] == "jane said abort in the dashboard: p99 of checkout\nis up"
    assert event["regarding"]["uid"] == "uid-shop-payment"


async def test_the_same_command_twice_is_two_values(served):
    for _ in range(2):
        assert (await served.post(f"{PAYMENT}/skip", "good"))[0] == 200
    first, second = (patch["metadata"]["annotations"]["coalmine.dev/skip"] for _, _, patch in served.kube.patched)
    assert first != second


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("", 401, "needs a Kubernetes token"),
        ("wrong", 401, "does not know this token"),
        ("poor", 403, "joe may not patch rollouts.coalmine.dev payment in namespace shop"),
        ("x" * 20_000, 401, "no Kubernetes token"),
    ],
)
async def test_nothing_is_done_without_a_token_of_somebody_who_may(served, token, status, words):
    found, answer = await served.post(f"{PAYMENT}/abort", token)
    assert found == status
    assert words in answer["error"]
    assert answer["fix"]
    assert served.kube.patched == served.kube.events == []


async def test_a_page_of_somebody_elses_can_give_no_command(served):
    """A form cannot send JSON or the header without being asked first, and nothing here answers that question."""
    headers = {"Authorization": "Bearer good"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        status, answer = await served.post(
            f"{PAYMENT}/abort", json=None, data=b"{}", headers={**headers, "Content-Type": kind}
        )
        assert (status, answer["fix"]) == (415, "send application/json")
    async with served.session.options(
        f"{served.url}{PAYMENT}/abort",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    ) as preflight:
        assert preflight.status >= 400
        assert not [name for name in preflight.headers if name.lower().startswith("access-control")]
    assert served.kube.patched == []


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b'{"comment": 3}', b'{"to": "x"}', b'{"comment": "' + b"x" * 501 + b'"}']
)
async def test_a_body_of_another_form_is_refused(served, body):
    headers = {"Authorization": "Bearer good", "Content-Type": "application/json"}
    status, answer = await served.post(f"{PAYMENT}/abort", json=None, data=body, headers=headers)
    assert status == 400
    assert answer["fix"] == 'send {"comment": "why"} or {}'


async def test_what_makes_no_sense_now_is_not_sent(served, rollout):
    status, answer = await served.post(f"{PAYMENT}/approve", "good")
    assert status == 409
    assert "nothing waits for approval: the phase is Progressing" in answer["error"]
    status, answer = await served.post("/api/v1/rollouts/shop/nobody/actions/abort", "good")
    assert (status, answer["error"]) == (404, "there is no Rollout nobody in namespace shop")
    status, answer = await served.post(f"{PAYMENT}/explode", "good")
    assert (status, answer["fix"]) == (404, f"use one of {', '.join(COMMANDS)}")
    assert served.kube.patched == []


async def test_approving_where_it_matters_who_does_takes_the_verb_approve(served, releasing):
    asked = {"gate": "9b7e10/1", "restricted": True, "message": "is the month closed?"}
    served.put(releasing(phase="AwaitingApproval", approval=asked))
    status, answer = await served.post(f"{PAYMENT}/approve", "good")
    assert (status, answer["error"]) == (403, "jane may not approve rollouts.coalmine.dev payment in namespace shop")
    served.kube.rules.add(("jane", "approve", "shop"))
    status, _ = await served.post(f"{PAYMENT}/reject", "good", {"comment": "no"})
    assert status == 200
    ((_, _, patch),) = served.kube.patched
    annotations = patch["metadata"]["annotations"]
    assert annotations["coalmine.dev/comment"] == "no"
    assert "coalmine.dev/reject" in annotations


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KubeError(403, "Forbidden", "admission: not now"), 403),
        (KubeError(422, "Invalid", "admission: the gate is closed"), 422),
        (ConflictError(409, "Conflict", "changed"), 409),
        (KubeError(500, "InternalError", "etcd"), 503),
    ],
)
async def test_what_the_api_server_says_has_the_last_word(served, error, status):
    served.kube.refusal = error
    found, answer = await served.post(f"{PAYMENT}/abort", "good")
    assert found == status
    assert str(error) in answer["error"]
    assert served.kube.events == []


async def test_a_dashboard_that_only_shows_does_nothing(serve, releasing):
    served = await serve(actions=False)
    served.put(releasing())
    served.kube.users["good"] = "jane"
    served.kube.rules.add(("jane", "patch", "shop"))
    status, answer = await served.post(f"{PAYMENT}/abort", "good")
    assert status == 403
    assert "dashboard.actions" in answer["fix"]


async def test_whoami_says_what_a_token_may(served):
    answer, found = await served.get("/api/v1/whoami?namespace=shop&name=payment", Authorization="Bearer good")
    assert answer.status == 200
    assert found == {
        "user": "jane",
        "groups": ["developers"],
        "may": {"patch": True, "approve": False},
        "reason": {"patch": "", "approve": "jane may not approve rollouts.coalmine.dev payment in namespace shop"},
    }
    answer, _ = await served.get("/api/v1/whoami")
    assert answer.status == 401


PHASES = {
    "Initializing": set(),
    "Healthy": set(),
    "Starting": {"promote", "abort", "pause"},
    "Progressing": {"promote", "abort", "pause", "skip"},
    "Paused": {"promote", "abort", "resume", "skip"},
    "AwaitingApproval": {"promote", "abort", "pause", "skip", "approve", "reject"},
    "Inconclusive": {"promote", "abort", "pause", "skip"},
    "Promoting": {"promote", "abort", "pause"},
    "Watching": {"promote", "abort", "pause"},
    "RollingBack": set(),
    "RolledBack": {"retry"},
}


@pytest.mark.parametrize(("phase", "possible"), PHASES.items())
def test_each_phase_has_its_commands(releasing, phase, possible):
    found = choices(releasing(phase=phase))
    assert {c["action"] for c in found if c["enabled"]} == possible
    assert all(c["reason"] for c in found if not c["enabled"])


def test_what_git_paused_is_not_resumed_here(releasing):
    body = releasing(phase="Paused")
    body["spec"]["paused"] = True
    assert "in git" in refusal(body, "resume")


def test_every_command_is_one_annotation():
    for name in COMMANDS:
        annotations = patch_of(name, "x", "why")["metadata"]["annotations"]
        assert annotations.pop(f"coalmine.dev/{name}") == "x"
        assert annotations in ({}, {"coalmine.dev/comment": "why"})
