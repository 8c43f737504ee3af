"""What was found around a Deployment, and the Rollout that fits it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, VERSION
from rollouts.api.validate import parse_rollout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Wishes", "choose_service", "describe", "draft", "render", "selects", "steps_of"]

_INJECT: Final = "coalmine.dev/inject"


@dataclass(frozen=True)
class Wishes:
    """What shall differ from the defaults.

    Attributes:
        steps: As ``--steps`` takes them; empty for the default.
        slos: As ``--slo`` takes them.
        approval: Whether people are asked before promotion.
        watch: How long the old version stays at hand; empty for not at all.
    """

    steps: str = ""
    slos: tuple[str, ...] = ()
    approval: bool = False
    watch: str = ""


def selects(service: dict[str, Any], deployment: dict[str, Any]) -> bool:
    """Return whether a Service sends requests to a Deployment's pods."""
    selector = (service.get("spec") or {}).get("selector") or {}
    template = (deployment.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    return bool(selector) and selector.items() <= labels.items()


def choose_service(deployment: dict[str, Any], services: Iterable[dict[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """Return the name of the Service to split, and of all that could be; empty where there is none.

    The one that is called like the Deployment comes first, then those with a cluster IP.
    """
    name = deployment["metadata"]["name"]
    fitting = [s for s in services if selects(s, deployment)]

    def order(service: dict[str, Any]) -> tuple[bool, bool, str]:
        own = service["metadata"]["name"]
        return own != name, (service.get("spec") or {}).get("clusterIP") == "None", own

    names = tuple(s["metadata"]["name"] for s in sorted(fitting, key=order))
    return (names[0] if names else "", names)


def steps_of(text: str) -> list[dict[str, Any]]:
    """Return steps from their short form: ``5,25,pause=10m,approval,100``.

    Raises:
        ValueError: An entry is none of weight, ``pause``, ``pause=TIME``, ``analysis=TIME`` and ``approval``.
    """
    found: list[dict[str, Any]] = []
    for entry in filter(None, (e.strip() for e in text.split(","))):
        word, _, value = entry.partition("=")
        if entry.removesuffix("%").isdigit():
            found.append({"setWeight": int(entry.removesuffix("%"))})
        elif word == "pause":
            found.append({"pause": {"duration": value} if value else {}})
        elif word == "analysis" and value:
            found.append({"analysis": {"duration": value}})
        elif entry == "approval":
            found.append({"approval": {}})
        else:
            raise ValueError(
                f"--steps: {entry!r}: write weights, pause, pause=10m, analysis=10m or approval, with commas"
            )
    return found


def _slo(text: str) -> dict[str, Any]:
    objective, _, threshold = text.partition(":")
    try:
        share = float(objective.removesuffix("%"))
    except ValueError:
        raise ValueError(
            f"--slo: {text!r}: write percent that must not fail (99.9), or be fast enough (99:300ms)"
        ) from None
    value: float = int(share) if share.is_integer() else share
    if threshold:
        return {"name": "latency", "latency": {"objective": value, "threshold": threshold}}
    return {"name": "availability", "availability": {"objective": value}}


def draft(deployment: dict[str, Any], service: str, wishes: Wishes, *, namespace: str = "") -> dict[str, Any]:
    """Return the Rollout.

    Args:
        deployment: The Deployment.
        service: The Service whose requests are split; empty where none was found.
        wishes: What shall differ from the defaults.
        namespace: To write down; empty for none.

    Raises:
        ValueError: A wish cannot be had; the message names it and the fix.
    """
    name = deployment["metadata"]["name"]
    spec: dict[str, Any] = {"workloadRef": {"name": name}}
    if service and service != name:
        spec["service"] = service
    if wishes.steps:
        spec["steps"] = steps_of(wishes.steps)
    if wishes.approval:
        spec["promotionApproval"] = {}
    if wishes.slos:
        spec["slos"] = [_slo(text) for text in wishes.slos]
    if wishes.watch:
        spec["watch"] = {"duration": wishes.watch}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    made = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Rollout", "metadata": metadata, "spec": spec}
    parse_rollout(made)
    return made


def render(rollout: dict[str, Any]) -> str:
    """Return a Rollout as people write it: five lines, and one for each wish."""
    lines = [
        f"apiVersion: {rollout['apiVersion']}",
        f"kind: {rollout['kind']}",
        f"metadata: {_flow(rollout['metadata'])}",
        "spec:",
    ]
    for name, value in rollout["spec"].items():
        if isinstance(value, list):
            lines += [f"  {name}:", *(f"    - {_item(item)}" for item in value)]
        else:
            lines.append(f"  {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _item(item: dict[str, Any]) -> str:
    ((first, value), *rest) = item.items()
    text = f"{first}: {_flow(value)}"
    return text if not rest else _flow(item)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    return str(value)


def describe(
    deployment: dict[str, Any], services: Sequence[dict[str, Any]], labels: dict[str, str] | None
) -> list[str]:
    """Return what was found, and what is to be done about it, one line each.

    Args:
        deployment: The Deployment.
        services: Those of its namespace.
        labels: The namespace's; None where they are not known.
    """
    name, spec = deployment["metadata"]["name"], deployment["spec"]
    containers = spec["template"]["spec"].get("containers") or []
    images = ", ".join(str(c.get("image")) for c in containers)
    replicas = 1 if spec.get("replicas") is None else spec["replicas"]
    found = [f"Deployment {name}: {replicas} replica{'' if replicas == 1 else 's'} of {images}"]
    if replicas == 0:
        found.append("! it has no pods, so that a new version could be compared with nothing: scale it up first")
    probed = [c["name"] for c in containers if c.get("readinessProbe")]
    if probed:
        found.append(f"readiness probe: container {', '.join(probed)}")
    else:
        found.append(
            "! no readiness probe: pods get requests before they can answer; add a readinessProbe to the template"
        )
    chosen, all_names = choose_service(deployment, services)
    if chosen:
        ports = next(s for s in services if s["metadata"]["name"] == chosen)["spec"].get("ports") or []
        listed = ", ".join(str(p.get("port")) for p in ports)
        found.append(f"Service {chosen}: port {listed}; its requests are split between the versions")
        if others := [n for n in all_names if n != chosen]:
            found.append(
                f"! Services {', '.join(others)} have the same pods: what is sent to them only reaches the old version"
            )
    else:
        found.append(
            f"! no Service selects its pods: create one called {name}, or set spec.service to the one that clients call"
        )
    if labels is not None and labels.get(_INJECT) != "enabled":
        space = deployment["metadata"].get("namespace", "default")
        found.append(f"! the mesh does not serve this namespace yet: kubectl label namespace {space} {_INJECT}=enabled")
    return found
