"""What must be right before a release can begin: an ordered list of one-question checks. The list is the specification.

Each check returns None, or a reason and a sentence that names the field and the fix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rollouts.core.canary import inseparable, selects
from rollouts.core.dependencies import circle
from rollouts.core.naming import Names
from rollouts.core.observed import Observed

__all__ = ["CHECKS", "Problem", "first_problem"]


@dataclass(frozen=True)
class Problem:
    """Why a Rollout is stalled."""

    reason: str
    message: str


Check = Callable[[Observed, Names | None], Problem | None]


def spec_is_valid(o: Observed, _names: Names | None) -> Problem | None:
    """Can the spec be read?"""
    return Problem("InvalidSpec", o.subject.spec_error) if o.subject.spec is None else None


def nobody_was_first(o: Observed, names: Names | None) -> Problem | None:
    """Is this the only Rollout for its Deployment and Service?"""
    if not o.rival or names is None:
        return None
    return Problem(
        "Conflict",
        f"spec.workloadRef.name: Rollout {o.rival} is older and has Deployment {names.workload} or Service {names.host} already; delete one of the two",
    )


def deployment_exists(o: Observed, names: Names | None) -> Problem | None:
    """Is there a Deployment?"""
    if names is None or (o.deployment and not o.deployment.deleting):
        return None
    return Problem(
        "DeploymentMissing",
        f"spec.workloadRef.name: there is no Deployment {names.workload} in namespace {o.subject.namespace}; create it or correct the name",
    )


def service_exists(o: Observed, names: Names | None) -> Problem | None:
    """Is there a Service?"""
    if names is None or o.service:
        return None
    return Problem(
        "ServiceMissing",
        f"spec.service: there is no Service {names.host} in namespace {o.subject.namespace}; create it, or set spec.service to the one that clients call",
    )


def service_has_a_selector(o: Observed, names: Names | None) -> Problem | None:
    """Does the Service select pods at all?"""
    if names is None or o.service is None or o.service.selector:
        return None
    return Problem(
        "ServiceWithoutSelector",
        f"spec.service: Service {names.host} has no spec.selector; give it one that selects the pods of Deployment {names.workload}",
    )


def service_has_ports(o: Observed, names: Names | None) -> Problem | None:
    """Does the Service have a port?"""
    if names is None or o.service is None or o.service.ports:
        return None
    return Problem(
        "ServiceWithoutPorts",
        f"spec.service: Service {names.host} has no spec.ports; give it the port that clients call",
    )


def service_selects_the_deployment(o: Observed, names: Names | None) -> Problem | None:
    """Does the Service select the Deployment's pods?"""
    if names is None or o.service is None or o.deployment is None:
        return None
    labels = o.deployment.template.get("metadata", {}).get("labels") or {}
    if selects({"matchLabels": o.service.selector}, labels):
        return None
    wanted = ",".join(f"{k}={v}" for k, v in sorted(o.service.selector.items()))
    return Problem(
        "ServiceSelectsOthers",
        f"spec.service: Service {names.host} selects {wanted}, which the pod template of Deployment {names.workload} does not carry; "
        "correct the Service's spec.selector or the template's labels",
    )


def service_selects_nothing_else(o: Observed, names: Names | None) -> Problem | None:
    """Does the Service select only the Deployment's pods?"""
    if names is None or not o.foreign_pods:
        return None
    return Problem(
        "ServiceSelectsOthers",
        f"spec.service: Service {names.host} also selects pods of other workloads ({', '.join(o.foreign_pods[:3])}), which would get stable requests; "
        f"narrow its spec.selector to the pods of Deployment {names.workload}",
    )


def canary_can_be_told_apart(o: Observed, names: Names | None) -> Problem | None:
    """Can the canary's pods be labelled so that nothing of the stable side selects them?"""
    if names is None or o.service is None or o.deployment is None or not inseparable(o.deployment, o.service):
        return None
    return Problem(
        "SelectorTooWide",
        f"Deployment {names.workload}: its spec.selector would select the canary's pods whatever their labels; use matchLabels with at least one label",
    )


def names_are_free(o: Observed, _names: Names | None) -> Problem | None:
    """Are the canary's names not taken by somebody else?"""
    if not o.taken:
        return None
    return Problem(
        "NameTaken",
        f"{o.taken} exists and is not this Rollout's; Coalmine needs the name for the canary: rename or delete it",
    )


def templates_can_be_used(o: Observed, _names: Names | None) -> Problem | None:
    """Are there all AnalysisTemplates, with all arguments?"""
    return Problem("InvalidTemplate", f"spec.analysis.templates: {o.template_problem}") if o.template_problem else None


def config_can_be_read(o: Observed, _names: Names | None) -> Problem | None:
    """Can the contents be read whose changes are releases?"""
    return Problem("ConfigUnreadable", f"spec.configChanges: {o.config.problem}") if o.config.problem else None


def waits_for_no_circle(o: Observed, _names: Names | None) -> Problem | None:
    """Can what this Rollout depends on ever be done first?"""
    wanted = o.subject.spec.depends_on if o.subject.spec else ()
    way = circle(o.subject.name, wanted, o.neighbours)
    if not way:
        return None
    return Problem(
        "DependencyCircle",
        f"spec.dependsOn: {' waits for '.join(way)}, so that none of them could ever start; take one of the names out",
    )


CHECKS: Final[tuple[Check, ...]] = (
    spec_is_valid,
    nobody_was_first,
    deployment_exists,
    service_exists,
    service_has_a_selector,
    service_has_ports,
    service_selects_the_deployment,
    service_selects_nothing_else,
    canary_can_be_told_apart,
    names_are_free,
    templates_can_be_used,
    config_can_be_read,
    waits_for_no_circle,
)


def first_problem(o: Observed, names: Names | None) -> Problem | None:
    """Return the first check's answer that is a problem."""
    return next((problem for check in CHECKS if (problem := check(o, names))), None)
