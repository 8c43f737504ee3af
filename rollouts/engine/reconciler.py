"""One pass over one Rollout: gather, decide, write the status, do the actions.

The status goes first and only onto the very version that was decided from: whoever decided from an old view (a second
controller, a late watch) fails there and does nothing. A crash after it loses nothing, as actions follow from the state.
Only an earlier release's mark goes off before it, as `kubectl rollout status` may ask within some ten milliseconds.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from crds import logs
from rollouts.api.rollout import Analysis
from rollouts.core.actions import ClearFailed
from rollouts.core.decide import decide
from rollouts.core.machine import RELEASE
from rollouts.core.metrics import planned
from rollouts.core.naming import names_of
from rollouts.core.notes import Notes
from rollouts.core.observed import Measured
from rollouts.engine.apply import Applier
from rollouts.engine.cap import Cap
from rollouts.engine.configuration import Configuration
from rollouts.engine.events import post_event
from rollouts.engine.gather import gather, release_of, subject_of
from rollouts.engine.hooks import HookRunner
from rollouts.engine.kube import ConflictError
from rollouts.engine.measuring import Measuring, Order
from rollouts.engine.preflight_facts import PreflightReader
from rollouts.engine.scaling import Scaling
from rollouts.engine.statuses import Statuses
from rollouts.engine.transitions import transitions_of
from rollouts.engine.writeback import WriteBacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from analysis.model.counts import Arm
    from rollouts.api.people import Person
    from rollouts.api.rollout import RolloutStatus
    from rollouts.core.actions import Action, Plan
    from rollouts.core.notes import Announcement
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache, Key
    from rollouts.engine.kube import Kube
    from rollouts.engine.measure import Known
    from rollouts.engine.measuring import Tools
    from rollouts.engine.meters import Meters
    from rollouts.engine.outbox import Outbox
    from rollouts.routers.base import Router

__all__ = ["Reconciler"]

_LOG = logging.getLogger(__name__)
_CONFLICT_SECONDS: Final = 0.1
_MOST_EVENTS_AGE: Final = 1800.0
_ANALYSIS_OFF: Final = Analysis(enabled=False)


class Reconciler:
    """Reconciles Rollouts. What it remembers is only to spare work: losing it changes no decision."""

    def __init__(
        self,
        *,
        cache: Cache,
        kube: Kube,
        router: Router,
        tools: Tools,
        trigger: Callable[[Key], None],
        instance: str,
        most_releases: int | None = None,
        outbox: Outbox | None = None,
        meters: Meters | None = None,
        people: tuple[Person, ...] = (),
    ) -> None:
        """Make one.

        Args:
            cache: What the watches tell.
            kube: The API server.
            router: The mesh.
            tools: What measuring uses.
            trigger: Asks for another pass over a Rollout.
            instance: This process's name, for Events.
            most_releases: How many releases there may be at once; None for any number.
            outbox: Tells transitions to people; it is closed with this. None where there is nobody to tell.
            meters: Counts decisions.
            people: Who has which names, for gates.
        """
        self._cache = cache
        self._kube = kube
        self._router = router
        self._hooks = HookRunner(kube, clock=tools.clock, trigger=trigger)
        self._write_backs = WriteBacks(kube, trigger=trigger)
        self._scaling = Scaling(kube, tools.clock)
        self._config = Configuration(kube, tools.clock)
        self._applier = Applier(
            kube, router, tools.clock, self._scaling, self._config, hooks=self._hooks, write_backs=self._write_backs
        )
        self._tools = tools
        self._trigger = trigger
        self._clock = tools.clock
        self._instance = instance
        self._cap = Cap(most_releases)
        self._meters = meters
        self._people = people
        self._outbox = outbox
        self._preflight = PreflightReader(kube, cache, router, tools.clock)
        self._statuses = Statuses(kube, cache, tools.clock)
        self._posted: dict[str, int] = {}
        self._measuring: dict[Key, Measuring] = {}
        self._arms: dict[Key, Mapping[str, Arm]] = {}
        self._errors: dict[Key, str] = {}
        self._asked: dict[Key, object] = {}

    def urgent(self, key: Key) -> bool:
        """Return whether people or an applier have changed a Rollout since it was looked at."""
        body = self._cache.rollouts.get(key)
        return body is not None and key in self._asked and self._asked[key] != _asked(body)

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass.

        Returns:
            After how many seconds to come again; None to wait for a change.
        """
        body = self._statuses.newest(key)
        if body is None:
            await self.forget(key)
            return None
        self._asked[key] = _asked(body)
        subject = subject_of(body)
        logs.bind(rollout="/".join(key), revision=subject.notes.target, release=subject.notes.release)
        if body["metadata"].get("deletionTimestamp") and not subject.deleting:
            return None
        observed = gather(
            self._cache,
            self._router,
            subject,
            lambda notes, known: self._measure(key, subject, notes, known),
            full=self._cap.full(self._cache, key),
            scaling=await self._scaling.facts(subject),
            config=await self._config.facts(subject, self._cache),
            preflight=await self._preflight.facts(subject),
            hooks=self._hooks.look(key),
            write_back=self._write_backs.look(key),
            people=self._people,
        )
        plan = decide(observed, self._clock())
        self._cap.note(key, plan.status.internal)
        try:
            await self._carry_out(key, body, subject, plan)
        except ConflictError as conflict:
            _LOG.debug("%s/%s: %s", *key, conflict)
            return _CONFLICT_SECONDS
        self._errors.pop(key, None)
        await self._follow(key, subject, plan)
        return None if plan.wake_at is None else max(0.0, plan.wake_at - self._clock())

    def failed(self, key: Key, error: Exception) -> None:
        """Remember a failure, so that the next pass says it in the status."""
        self._errors[key] = f"{type(error).__name__}: {error}"
        _LOG.warning("%s/%s: %s", *key, error, exc_info=not _is_expected(error))

    async def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone."""
        self._statuses.forget(key)
        self._errors.pop(key, None)
        self._asked.pop(key, None)
        self._arms.pop(key, None)
        self._cap.forget(key)
        self._scaling.forget(key)
        self._config.forget(key)
        self._preflight.forget(key)
        await self._hooks.forget(key)
        await self._write_backs.forget(key)
        if self._outbox:
            await self._outbox.forget(key)
        if measuring := self._measuring.pop(key, None):
            await measuring.close()

    async def close(self) -> None:
        """Store what was measured, and end."""
        if self._outbox:
            await self._outbox.close()
        await self._hooks.close()
        await self._write_backs.close()
        for measuring in self._measuring.values():
            await measuring.save(now=True)
            await measuring.close()
        self._measuring.clear()

    async def _carry_out(self, key: Key, body: Mapping[str, Any], subject: Subject, plan: Plan) -> None:
        await self._apply(key, subject, (a for a in plan.actions if isinstance(a, ClearFailed)))
        # What an earlier process decided may push out what it had no time to tell.
        await self._tell(subject, subject.notes.announcements, body.get("status") or {})
        if self._outbox and plan.events:
            await self._outbox.kept(subject.uid, plan.events[0].number - 1)
        await self._statuses.write(key, body, subject, self._honest(key, plan.status), releases=len(self._measuring))
        self._count(subject, plan)
        await self._tell(subject, plan.events, self._statuses.written(key))
        await self._apply(key, subject, (a for a in plan.actions if not isinstance(a, ClearFailed)))

    def _count(self, subject: Subject, plan: Plan) -> None:
        if self._meters is not None:
            self._meters.decided(a.reason for a in plan.events if a.number > subject.notes.number)
            if plan.status.history is not subject.status.history:
                known = subject.status.history
                self._meters.ended(entry.outcome for entry in plan.status.history if entry not in known)

    async def _tell(self, subject: Subject, announcements: Sequence[Announcement], status: Mapping[str, Any]) -> None:
        if self._outbox and (new := [a for a in announcements if a.number > self._outbox.taken(subject.uid)]):
            self._outbox.take(subject, transitions_of(self._cache, subject, new, status))
        for announcement in announcements:
            if announcement.number > self._posted.get(subject.uid, 0):
                if self._clock() - announcement.at < _MOST_EVENTS_AGE:
                    await post_event(self._kube, subject, announcement, self._instance)
                self._posted[subject.uid] = announcement.number

    async def _apply(self, key: Key, subject: Subject, actions: Iterable[Action]) -> None:
        for action in actions:
            _LOG.info("%s/%s: %s", *key, _brief(action))
            await self._applier.apply(subject, action)

    def _honest(self, key: Key, status: RolloutStatus) -> RolloutStatus:
        """Return a status that says what went wrong in the last pass."""
        if error := self._errors.get(key):
            return status.model_copy(update={"message": f"{status.message} (trying again after: {error})"})
        return status

    def _measure(self, key: Key, subject: Subject, notes: Notes, known: Known) -> Measured:
        measuring = self._measuring.get(key)
        self._arms[key] = known.arms
        return _looked(measuring, subject, notes, known) if measuring else Measured(answered=False)

    async def _follow(self, key: Key, subject: Subject, plan: Plan) -> None:
        """Measure while a release is under way, and only then."""
        order = self._order(subject, Notes.read(plan.status.internal))
        have = self._measuring.get(key)
        if have and (order is None or order.identity != have.identity):
            del self._measuring[key]
            await have.finish()
            have = None
        if order is None:
            return
        if have is None:
            self._measuring[key] = await Measuring.begin(
                self._tools, order, lambda: self._trigger(key), self._arms.get(key)
            )
        else:
            await have.update(order)
            await have.save()

    def _order(self, subject: Subject, notes: Notes) -> Order | None:
        names = names_of(subject.spec, notes)
        if names is None or notes.state not in RELEASE:
            return None
        release = release_of(self._cache, subject, names)
        source = subject.spec.analysis.source if subject.spec else None
        return Order(
            subject=subject,
            names=names,
            target=notes.target,
            began=notes.began,
            source=source.settings if source else None,
            release=release,
            planned=planned(release),
        )


def _looked(measuring: Measuring, subject: Subject, notes: Notes, known: Known) -> Measured:
    if subject.spec is None:
        return measuring.look(notes, _ANALYSIS_OFF, known)
    return measuring.look(notes, subject.spec.analysis, known, subject.spec.slos)


def _asked(body: Mapping[str, Any]) -> object:
    """Return what only others change of a Rollout."""
    metadata = body["metadata"]
    return metadata.get("generation"), metadata.get("annotations"), metadata.get("deletionTimestamp")


def _brief(action: object) -> str:
    text = repr(action)
    return text if len(text) < 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line of a log


def _is_expected(error: Exception) -> bool:
    return isinstance(error, (OSError, TimeoutError)) or type(error).__module__.startswith("rollouts.")
