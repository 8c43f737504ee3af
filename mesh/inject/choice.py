"""Whether a pod gets a sidecar: our label and Istio's, of the namespace and of the pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mesh.api.names import INJECT_LABEL, ISTIO_NAMESPACE_LABEL, ISTIO_POD_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RefusedError", "Selector", "namespace_wants", "pod_choice", "wanted_where"]

_OURS: Final = {"enabled": True, "disabled": False}
_ISTIOS: Final = {"true": True, "false": False}
Selector = tuple[str, list[dict[str, Any]], list[dict[str, Any]]]
"""A name, and label expressions for namespaces and for pods."""


class RefusedError(ValueError):
    """The pod cannot be in the mesh as it is; the message names the field and what to do."""


def pod_choice(metadata: Mapping[str, Any]) -> bool | None:
    """Return whether the pod itself wants a sidecar; None when it says nothing.

    Our label or annotation decides before Istio's, and a label before an annotation.

    Raises:
        RefusedError: A value is misspelt.
    """
    found: list[bool] = []
    for key, meanings in ((INJECT_LABEL, _OURS), (ISTIO_POD_LABEL, _ISTIOS)):
        said: list[bool] = []
        for kind in ("labels", "annotations"):
            value = (metadata.get(kind) or {}).get(key)
            if value is not None and value not in meanings:
                raise RefusedError(f"metadata.{kind}[{key}] is {value!r}: write {' or '.join(meanings)}")
            if value is not None:
                said.append(meanings[value])
        if said:  # of one key, "no" in either place opts out
            found.append(all(said))
    return found[0] if found else None


def namespace_wants(labels: Mapping[str, str], *, istio_labels: bool = True) -> bool | None:
    """Return what a namespace's labels say; None when they say nothing.

    Args:
        labels: The namespace's.
        istio_labels: Whether Istio's label means us.
    """
    if (ours := _OURS.get(labels.get(INJECT_LABEL, ""))) is not None:
        return ours
    return _OURS.get(labels.get(ISTIO_NAMESPACE_LABEL, "")) if istio_labels else None


def wanted_where(*, istio_labels: bool) -> list[Selector]:
    """Return which pods the API server asks the injector about; no pod is in two of these.

    Pods that opt out by a label are in none, so that they do not depend on the injector. A pod's own label decides
    before its namespace's, except that Istio's on a pod does not help against ``disabled`` on its namespace, as in Istio.
    """
    unsaid = _is(INJECT_LABEL, "DoesNotExist")
    # Any other value than "disabled": a misspelt one is refused rather than ignored.
    selectors: list[Selector] = [("pod", [], [_is(INJECT_LABEL, "Exists"), _is(INJECT_LABEL, "NotIn", "disabled")])]
    enabled = [_is(INJECT_LABEL, "In", "enabled")]
    if not istio_labels:
        return [*selectors, ("namespace", enabled, [unsaid])]
    not_out = [unsaid, _is(ISTIO_POD_LABEL, "NotIn", "false")]
    return [
        *selectors,
        ("namespace", enabled, not_out),
        ("istio-namespace", [unsaid, _is(ISTIO_NAMESPACE_LABEL, "In", "enabled")], not_out),
        (
            "istio-pod",
            [unsaid, _is(ISTIO_NAMESPACE_LABEL, "DoesNotExist")],
            [*not_out, _is(ISTIO_POD_LABEL, "Exists")],
        ),
    ]


def _is(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
