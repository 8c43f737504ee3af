"""The Pod's status, computed from what is known of its containers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.containers import ContainerView, Terminated, Waiting, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["differs", "pod_status"]

_NOT_STARTED: Final = ("PodInitializing", "ContainerCreating")


def pod_status(
    pod: Mapping[str, Any],
    views: Sequence[ContainerView],
    *,
    pod_ip: str,
    host_ip: str,
    started_at: datetime,
    now: datetime,
    finished: bool,
    failure: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """Return the whole of the status that a node owns, to be merged into the Pod.

    Args:
        pod: The pod with its last known status: the times of its conditions are kept while they do not change.
        views: Every container, init containers first, in the pod's order.
        pod_ip: The pod's address.
        host_ip: The node's.
        started_at: When the node took the pod.
        now: The time.
        finished: Nothing of the pod runs any more, and nothing will.
        failure: Reason and message of a pod that the node ended itself.
    """
    status: dict[str, Any] = {
        "phase": "Failed" if failure and finished else _phase(views, finished=finished),
        "reason": failure[0] if failure else None,
        "message": failure[1] if failure else None,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": timestamp(started_at),
        "conditions": _conditions(pod, views, now=now, finished=finished),
        "containerStatuses": [_container(view) for view in views if view.role == "main"],
    }
    if inits := [_container(view) for view in views if view.role != "main"]:
        status["initContainerStatuses"] = inits
    return status


def differs(wanted: Any, present: Any) -> bool:
    """Say whether an object lacks something of a patch. Conditions are compared by type, others' being left alone."""
    if isinstance(wanted, dict):
        if not isinstance(present, dict):
            return bool(wanted) or present is not None
        return any(differs(value, present.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(present, list):
            return True
        if wanted and isinstance(wanted[0], dict) and "type" in wanted[0]:
            by_type = {item.get("type"): item for item in present}
            return any(differs(item, by_type.get(item["type"])) for item in wanted)
        return len(wanted) != len(present) or any(map(differs, wanted, present))
    return bool(wanted != present)


def _phase(views: Sequence[ContainerView], *, finished: bool) -> str:
    mains = [view for view in views if view.role == "main"]
    if finished:
        fine = all(isinstance(view.state, Terminated) and view.state.exit_code == 0 for view in mains)
        return "Succeeded" if fine else "Failed"
    return "Pending" if any(_never_ran(view) for view in mains) else "Running"


def _never_ran(view: ContainerView) -> bool:
    return isinstance(view.state, Waiting) and view.last is None


def _initialized(views: Sequence[ContainerView]) -> bool:
    # A sidecar that is restarting later does not make the pod uninitialized again.
    begun = any(view.role == "main" and not _untouched(view) for view in views)
    return begun or all(_init_done(view) for view in views if view.role != "main")


def _untouched(view: ContainerView) -> bool:
    return isinstance(view.state, Waiting) and view.state.reason in _NOT_STARTED and view.last is None


def _init_done(view: ContainerView) -> bool:
    if view.role == "sidecar":
        return view.started
    return isinstance(view.state, Terminated) and view.state.exit_code == 0


def _container(view: ContainerView) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": view.name,
        "image": view.image,
        "imageID": "",
        "ready": view.ready,
        "started": view.started,
        "restartCount": view.restart_count,
        "state": view.state.to_status(),
        "lastState": view.last.to_status() if view.last else {},
    }
    if view.container_id:
        status["containerID"] = view.container_id
    return status


def _conditions(
    pod: Mapping[str, Any], views: Sequence[ContainerView], *, now: datetime, finished: bool
) -> list[dict[str, Any]]:
    prior = {item["type"]: item for item in (pod.get("status") or {}).get("conditions") or ()}
    unready = [view.name for view in views if view.role != "init" and not view.ready]
    completed = finished and _phase(views, finished=True) == "Succeeded"
    found: dict[str, tuple[bool, str | None, str | None]] = {"PodScheduled": (True, None, None)}
    if _initialized(views):
        found["Initialized"] = (True, "PodCompleted" if completed else None, None)
    else:
        waiting = [view.name for view in views if view.role != "main" and not _init_done(view)]
        message = f"containers with incomplete status: [{' '.join(waiting)}]"
        found["Initialized"] = (False, "ContainersNotInitialized", message)
    if unready:
        reason = "PodCompleted" if completed else "PodFailed" if finished else "ContainersNotReady"
        detail = None if finished else f"containers with unready status: [{' '.join(unready)}]"
        found["ContainersReady"] = found["Ready"] = (False, reason, detail)
    else:
        found["ContainersReady"] = (True, None, None)
        found["Ready"] = _gates(pod, prior)
    return [_condition(name, *found[name], prior=prior.get(name), now=now) for name in found]


def _gates(pod: Mapping[str, Any], prior: Mapping[str, Mapping[str, Any]]) -> tuple[bool, str | None, str | None]:
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if prior.get(gate, {}).get("status") != "True"]
    if closed:
        return False, "ReadinessGatesNotReady", f"readiness gates not true: [{' '.join(closed)}]"
    return True, None, None


def _condition(
    name: str,
    value: bool,  # noqa: FBT001 - a condition's status is what this is about
    reason: str | None,
    message: str | None,
    *,
    prior: Mapping[str, Any] | None,
    now: datetime,
) -> dict[str, Any]:
    text = "True" if value else "False"
    since = prior["lastTransitionTime"] if prior and prior.get("status") == text else timestamp(now)
    return {"type": name, "status": text, "reason": reason, "message": message, "lastTransitionTime": since}
