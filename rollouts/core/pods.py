"""Why a pod is not ready, in its own words. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollouts.core.context import Context

__all__ = ["pod_trouble", "trouble_words"]

_BEGINNING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_MOST: Final = 300
"""Characters."""


def pod_trouble(body: Mapping[str, Any]) -> str:
    """Return why a pod is not ready; empty when it is, or is just starting."""
    status = body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _short(f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}")
    found = sorted(_troubles(status), key=lambda t: t[0])
    return _short(found[0][1]) if found else ""


def _troubles(status: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Return what each container says, with how little it explains."""
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        name, state = container["name"], container.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason") not in _BEGINNING:
            yield 0, f"container {name}: {_reason(waiting)}{_last(container)}"
        elif ended and ended.get("exitCode"):
            yield 1, f"container {name} {_end(ended)}"
        elif "running" in state and not container.get("ready"):
            yield 2, f"container {name} runs and is not ready: its startup or readiness probe fails"


def _reason(said: Mapping[str, Any]) -> str:
    words = f": {said['message']}" if said.get("message") else ""
    return f"{said.get('reason') or 'waits'}{words}"


def _last(container: Mapping[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated")
    return f" (it {_end(ended)} before)" if ended else ""


def _end(ended: Mapping[str, Any]) -> str:
    words = f", {_reason(ended)}" if ended.get("reason") else ""
    return f"ended with exit code {ended.get('exitCode')}{words}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def trouble_words(c: Context) -> str:
    """Return what most of the canary's pods that are not ready say, to follow a sentence; empty when they say nothing."""
    said = Counter(pod.trouble for pod in c.o.canary_pods.values() if pod.trouble)
    if not said:
        return ""
    words = max(sorted(said), key=lambda t: said[t])
    first = min(name for name, pod in c.o.canary_pods.items() if pod.trouble == words)
    more = f" (and {said[words] - 1} more)" if said[words] > 1 else ""
    return f"; pod {first}{more}: {words}"
