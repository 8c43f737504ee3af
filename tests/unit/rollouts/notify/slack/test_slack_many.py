"""Many rollouts at once while Slack limits, breaks connections and forgets to answer: each transition once, in order.

Half a minute on a busy machine; ``COALMINE_SLACK_ROLLOUTS`` takes another number of them.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from rollouts.notify.base import LaterError, UnclearError
from rollouts.notify.outbox import Box
from rollouts.notify.slack import SlackSink

ROLLOUTS = int(os.environ.get("COALMINE_SLACK_ROLLOUTS", "1000"))
AT_ONCE = 4
REASONS = (
    ("ReleaseStarted", {"phase": "Starting"}),
    ("StepStarted", {"phase": "Progressing", "step": "1/3"}),
    ("WeightAcknowledged", {"phase": "Progressing", "weight": {"configured": 10, "acknowledged": 10}}),
    ("ApprovalRequested", {"phase": "AwaitingApproval"}),
    ("StepsPassed", {"phase": "Promoting"}),
    ("Promoted", {"phase": "Promoting"}),
)


class CrashError(BaseException):
    """The process ends, between two lines."""


class Office:
    """What a controller does with one rollout's box, and what stays when it is killed: only what was stored."""

    def __init__(self, sink, clock, boxes, randomness):
        self._sink = sink
        self._clock = clock
        self.boxes = boxes
        self._random = randomness
        self._process = 0

    async def deliver(self, uid):
        """Deliver a rollout's box to its end; a process that is killed is followed by another one."""
        while (transition := self.boxes[uid].next("slack")) is not None:
            await self._one(uid, transition)

    async def _one(self, uid, transition):
        number = transition.number
        process = f"process-{self._process}"
        self.boxes[uid] = self.boxes[uid].begin("slack", number, process)
        lane = self.boxes[uid].lane("slack")
        try:
            self._maybe_killed(0.03)
            memory = await self._sink.send(transition, lane.memory, doubtful=lane.doubtful)
            self._maybe_killed(0.05)
        except CrashError:
            self._process += 1
            return
        except LaterError as error:
            self.boxes[uid] = self.boxes[uid].failed("slack", number, 0.0, unclear=False)
            self._clock.now += error.seconds or 1.0
        except UnclearError:
            self.boxes[uid] = self.boxes[uid].failed("slack", number, 0.0, unclear=True)
        else:
            self.boxes[uid] = self.boxes[uid].done("slack", number, memory)

    def _maybe_killed(self, share):
        if self._random.random() < share:
            raise CrashError


@pytest.mark.parametrize("seed", [1])
async def test_every_transition_is_told_exactly_once_and_in_order(client, slack, settings, clock, make_rollout, seed):
    slack.trouble.limited, slack.trouble.before, slack.trouble.after, slack.trouble.failing = 0.06, 0.04, 0.04, 0.02
    slack.trouble._random = random.Random(seed)
    rollouts = {f"payment-{n}": make_rollout(uid=f"uid-{n}", name=f"payment-{n}") for n in range(ROLLOUTS)}
    channels = [f"C0{n}" for n in range(max(1, ROLLOUTS // 20))]
    slack.workspace.channels.update(channels)
    boxes = {}
    for n, rollout in enumerate(rollouts.values()):
        rollout.body["metadata"]["annotations"]["coalmine.dev/slack-channel"] = channels[n % len(channels)]
        rollout.begin()
        told = [rollout.tell(reason, **status) for reason, status in REASONS]
        boxes[rollout.uid] = Box().put([(t, ("slack",)) for t in told])
    sink = SlackSink(client, settings(), lambda *_: None, clock=clock)  # so that each transition changes the message
    office = Office(sink, clock, boxes, random.Random(seed))
    waiting = [r.uid for r in rollouts.values()]

    async def courier():
        while waiting:
            await office.deliver(waiting.pop())

    await asyncio.gather(*(courier() for _ in range(AT_ONCE)))
    found = {uid: [] for uid in boxes}
    for channel in channels:
        for message in slack.workspace.messages[channel]:
            payload = message.metadata["event_payload"]
            found[payload["uid"]].append(payload["number"])
    assert {uid: numbers for uid, numbers in found.items() if numbers != [1, 2, 3, 4, 5, 6]} == {}
    assert sum(len(slack.workspace.top(channel)) for channel in channels) == ROLLOUTS
    happened = {what for _, what in slack.calls}
    assert {"limited", "before", "after", "failing"} <= happened
    # Four couriers at once may have one more request each on its way when the first answer says 'later'.
    assert len(slack.too_early) <= AT_ONCE * slack.calls.count(("chat.postMessage", "limited"))
