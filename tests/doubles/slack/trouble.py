"""What goes wrong on the way: rate limits and broken connections, at random by a seed or as a test says."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

DISCONNECT_BEFORE = "before"
DISCONNECT_AFTER = "after"


@dataclass
class Trouble:
    """Shares of the calls that go wrong, and single calls that shall.

    Attributes:
        limited: Answered with 429.
        before: The connection breaks before Slack took the call.
        after: It breaks after that, without an answer.
        failing: Answered with 500 and ``internal_error``, after it was done.
        retry_after: Seconds of ``Retry-After``.
        methods: What goes wrong at random; others never do.
        down: Nothing is answered at all: connections break.
    """

    seed: int = 1
    limited: float = 0.0
    before: float = 0.0
    after: float = 0.0
    failing: float = 0.0
    retry_after: int = 1
    methods: tuple[str, ...] = (
        "chat.postMessage",
        "chat.update",
        "conversations.history",
        "conversations.replies",
    )
    down: bool = False
    planned: list[tuple[str, str]] = field(default_factory=list)
    """``(method, what)``: the next call of a method gets it, once."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def next(self, method: str) -> str:
        """Return what happens to a call: ``limited``, ``before``, ``after``, ``failing`` or nothing."""
        if self.down:
            return DISCONNECT_BEFORE
        for plan in self.planned:
            if plan[0] == method:
                self.planned.remove(plan)
                return plan[1]
        if method not in self.methods:
            return ""
        drawn = self._random.random()
        for what in ("limited", "before", "after", "failing"):
            share = float(getattr(self, what))
            if drawn < share:
                return what
            drawn -= share
        return ""
