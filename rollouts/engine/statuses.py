"""Writing what was decided into Rollouts' statuses: onto the very version that was decided from, and no more often than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, VERSION
from rollouts.engine.apply import rollout_path
from rollouts.engine.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.api.rollout import RolloutStatus
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache, Key
    from rollouts.engine.kube import Kube

__all__ = ["Statuses"]

_QUIET_SECONDS: Final = 1.0
_QUIET_WRITES_A_SECOND: Final = 20
"""Of all releases together: the API server has others to serve."""
_NOISE: Final = frozenset({"message", "summary", "need", "evidence", "conditions", "budget", "problems"})
"""Parts of the status that change while nothing happens; they are written at most once a second, and more rarely where there
are many releases."""


class Statuses:
    """What was written, and when. Losing it only costs a write."""

    def __init__(self, kube: Kube, cache: Cache, clock: Callable[[], float]) -> None:
        """Make one that has written nothing.

        Args:
            kube: The API server.
            cache: What the watches tell.
            clock: Unix seconds.
        """
        self._kube = kube
        self._cache = cache
        self._clock = clock
        self._written: dict[Key, tuple[str, dict[str, Any]]] = {}
        self._wrote_at: dict[Key, float] = {}

    def newest(self, key: Key) -> dict[str, Any] | None:
        """Return a Rollout: our own last write where the watch has not brought it yet; None where there is none."""
        body = self._cache.rollouts.get(key)
        before, written = self._written.get(key, ("", {}))
        if body is not None and body["metadata"]["resourceVersion"] == before:
            return written
        return body

    def written(self, key: Key) -> dict[str, Any]:
        """Return the status as it was written last."""
        return self._written.get(key, ("", {}))[1].get("status") or {}

    def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone."""
        self._written.pop(key, None)
        self._wrote_at.pop(key, None)

    async def write(
        self, key: Key, body: Mapping[str, Any], subject: Subject, status: RolloutStatus, *, releases: int
    ) -> None:
        """Write a status, if it is another one and not only numbers have changed a moment after the last write.

        Args:
            key: The Rollout.
            body: It as it was decided from.
            subject: The same, read.
            status: What is decided.
            releases: How many are under way.

        Raises:
            ConflictError: It changed meanwhile, or is gone.
            KubeError: The API server refuses.
        """
        before, after = subject.status.dump(), status.dump()
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
        quiet = changed <= _NOISE or _only_actual(changed, before, after)
        now, rest = self._clock(), max(_QUIET_SECONDS, releases / _QUIET_WRITES_A_SECOND)
        if not changed or (quiet and now - self._wrote_at.get(key, 0.0) < rest):
            return
        metadata = {k: body["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")}
        answer = await self._kube.request(
            "PUT",
            f"{rollout_path(subject.namespace, subject.name)}/status",
            body={
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "Rollout",
                "metadata": metadata,
                "spec": body.get("spec", {}),
                "status": after,
            },
        )
        if answer is None:
            self._cache.drop("rollouts", *key)
            raise ConflictError(404, "NotFound", f"Rollout {key[1]} is gone")
        self._written[key] = (str(metadata["resourceVersion"]), answer)
        self._wrote_at[key] = now


def _only_actual(changed: set[str], before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether besides the noise only the measured share changed."""
    if not changed <= _NOISE | {"weight"}:
        return False
    old, new = before.get("weight", {}), after.get("weight", {})
    return {k: v for k, v in old.items() if k != "actual"} == {k: v for k, v in new.items() if k != "actual"}
