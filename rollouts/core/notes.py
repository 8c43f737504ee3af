"""The controller's own memory of a release: ``status.internal``."""

from __future__ import annotations

from typing import Any, Final, Literal

from crds.base import Resource
from rollouts.core.approvals import ApprovalNotes
from rollouts.core.configuration import ConfigNotes
from rollouts.core.hook_runs import HookMemory
from rollouts.core.machine import State
from rollouts.core.preflight.notes import PreflightNotes
from rollouts.core.reverts import WriteBackNotes
from rollouts.core.scaling import ScalingNotes

__all__ = ["REPLACE_SECONDS", "Announcement", "Notes", "ReplacedPod"]

REPLACE_SECONDS: Final = 60.0
"""An evicted pod ends its last answers in this time."""


class Announcement(Resource):
    """A Kubernetes Event that belongs to one transition. Its number makes its name, so it exists once however often it is posted."""

    number: int
    at: float
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    note: str


class ReplacedPod(Resource):
    """A canary pod that was evicted because it alone carried the difference.

    Attributes:
        name: Its name.
        uid: Its uid.
        node: Where it ran; empty where nobody knows.
        at: When it was evicted, Unix seconds.
        why: The judge's words.
    """

    name: str
    uid: str = ""
    node: str = ""
    at: float
    why: str = ""

    @property
    def until(self) -> float:
        """Until when its requests are left out: if it still answers after that, it was not replaced."""
        return self.at + REPLACE_SECONDS


class Notes(Resource):
    """What the next decision must know and cannot see in the cluster. All times are Unix seconds.

    Attributes:
        state: Where the machine is.
        since: When it got there.
        workload: The Deployment that was adopted.
        host: The Service whose requests are split.
        open: Whether a release is under way (its end is not in the history yet).
        target: The revision that the release is about.
        target_images: Its images.
        began: When the release began.
        weight: The canary's weight that is asked for now, percent.
        step_starts: When each weight step so far began: every proxy had acknowledged it.
        quiet_since: When the canary's weight was seen to be 0 at every proxy.
        on_hold: Somebody stopped the release where it is (annotation ``coalmine.dev/pause``).
        forced: Somebody asked for promotion without waiting for evidence; the guards are off.
        proven: The evidence by which a step before this one was passed, in words; empty where none was.
        replaced: The one canary pod that was replaced because it alone was worse.
        hooks: Of requests and Jobs at certain points.
        preflight: Of the checks before any traffic moves.
        scaling: Of stable's size.
        config: Of ConfigMaps and Secrets.
        baseline_quiet_since: When an experiment's fresh stable pods were seen to get nothing any more.
        write_back: Of the revert in git.
        approval: Of what people are asked and decided.
        outcome: How the release ends, for the history.
        reason: Why.
        number: Number of the last announcement.
        announcements: The last few, kept so that a crash loses none.
    """

    state: State = State.INITIALIZING
    since: float = 0.0
    workload: str = ""
    host: str = ""
    open: bool = False
    target: str = ""
    target_images: tuple[str, ...] = ()
    began: float = 0.0
    weight: int = 0
    step_starts: tuple[float, ...] = ()
    quiet_since: float | None = None
    on_hold: bool = False
    forced: bool = False
    proven: str = ""
    replaced: ReplacedPod | None = None
    baseline_quiet_since: float | None = None
    hooks: HookMemory = HookMemory()
    preflight: PreflightNotes = PreflightNotes()
    scaling: ScalingNotes = ScalingNotes()
    config: ConfigNotes = ConfigNotes()
    write_back: WriteBackNotes = WriteBackNotes()
    approval: ApprovalNotes = ApprovalNotes()
    outcome: str = ""
    reason: str = ""
    number: int = 0
    announcements: tuple[Announcement, ...] = ()

    @property
    def release(self) -> str:
        """The present release's name in logs: its revision and when it began; empty without one."""
        return f"{self.target}-{self.began:.0f}" if self.open else ""

    @classmethod
    def read(cls, internal: dict[str, Any]) -> Notes:
        """Return the notes that a status holds. Fields of another version of the controller are dropped."""
        known = {f.alias or name for name, f in cls.model_fields.items()}
        return cls.model_validate({k: v for k, v in internal.items() if k in known})
