"""Whether Service and pod template fit each other, and whether somebody else scales the canary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.core.preflight.facts import Kind, fails, warns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollouts.core.context import Context
    from rollouts.core.preflight.facts import Facts, Finding

__all__ = ["autoscalers", "probes", "service_ports"]


def service_ports(c: Context, _f: Facts) -> Finding | None:
    """Does the new template have the ports that the Service sends to?"""
    declared = [p for container in _containers(c.deployment.template) for p in container.get("ports") or ()]
    names = sorted(str(p["name"]) for p in declared if p.get("name"))
    numbers = {p.get("containerPort") for p in declared}
    warning = None
    for port in c.o.service.ports if c.o.service else ():
        target = port.get("targetPort") or port.get("port")
        if isinstance(target, str) and target not in names:
            return fails(
                f"Service {c.names.host} sends port {port.get('port')} to port {target!r}, which no container of Deployment "
                f"{c.names.workload} has (spec.template.spec.containers[].ports: {', '.join(names) or 'none has a name'}): "
                "name the container's port so, or correct the Service's spec.ports[].targetPort"
            )
        if isinstance(target, int) and target not in numbers:
            warning = warning or warns(
                f"Service {c.names.host} sends port {port.get('port')} to {target}, which no container of Deployment {c.names.workload} "
                "declares: add it to spec.template.spec.containers[].ports, or correct the Service's spec.ports[].targetPort"
            )
    return warning


def probes(c: Context, _f: Facts) -> Finding | None:
    """Does any container say when it can answer?"""
    if any(container.get("readinessProbe") for container in _containers(c.deployment.template)):
        return None
    return warns(
        f"no container of Deployment {c.names.workload} has a readinessProbe: its pods count as ready as soon as they run, and get "
        "requests before they can answer. Add spec.template.spec.containers[].readinessProbe"
    )


def _containers(template: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the containers that run as long as the pod does."""
    spec = template.get("spec") or {}
    sidecars = [x for x in spec.get("initContainers") or () if x.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *sidecars]


def autoscalers(c: Context, f: Facts) -> Finding | None:
    """Is nobody else at the canary's size, and one at most at the Deployment's?"""
    found: dict[str, list[str]] = {}
    for autoscaler in f.of(Kind.AUTOSCALERS):
        target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
        if target.get("kind") == "Deployment":
            found.setdefault(str(target.get("name")), []).append(str(autoscaler["metadata"]["name"]))
    if canarys := found.get(c.names.canary_deployment):
        return fails(
            f"HorizontalPodAutoscaler {canarys[0]} scales Deployment {c.names.canary_deployment}, whose size follows the stable one's and "
            f"the step's: delete it, or let its spec.scaleTargetRef name {c.names.workload}"
        )
    several = sorted(found.get(c.names.workload, ()))
    if len(several) > 1:
        return warns(
            f"HorizontalPodAutoscalers {', '.join(several)} scale the same Deployment {c.names.workload} and undo each other's work: "
            "keep one"
        )
    return None
