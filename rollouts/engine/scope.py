"""A controller for some namespaces: what it may see of the rest of the cluster, and what an administrator must have put there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rollouts.api.admission import HOLD_NAME, Hold
from rollouts.api.names import GROUP, PLURAL, VERSION
from rollouts.api.policies import ADMISSION_GROUP
from rollouts.engine.hold import choose_hold, served_policy_version
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollouts.engine.kube import Kube

__all__ = ["check_hold", "nothing_to_release", "sees_cluster_templates"]

_LOG = logging.getLogger(__name__)
_FORBIDDEN: Final = 403


async def sees_cluster_templates(kube: Kube, namespaces: Sequence[str]) -> bool:
    """Return whether ClusterAnalysisTemplates are watched: always cluster-wide, else where the controller may."""
    return not namespaces or all([await _may(kube, verb, "clusteranalysistemplates") for verb in ("list", "watch")])


async def _may(kube: Kube, verb: str, resource: str) -> bool:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"group": GROUP, "resource": resource, "verb": verb}},
    }
    answer = await kube.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
    return bool(answer and answer["status"].get("allowed"))


async def nothing_to_release(kube: Kube, namespaces: Sequence[str]) -> bool:
    """Return whether the namespaces hold no Rollout: then no watch tells anything, and the controller is ready at once."""
    for namespace in namespaces:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        found = await kube.request("GET", path, query={"limit": "1"})
        if found is None or found.get("items"):
            return False
    return bool(namespaces)


async def check_hold(kube: Kube, wanted: str) -> None:
    """Make sure that the hold is there, which is for the whole cluster and so not this controller's to install.

    Where the controller may not look, that is left to each adoption, which asks the API server in a dry run anyway.

    Args:
        kube: The API server.
        wanted: As for ``choose_hold``.

    Raises:
        ValueError: It is not there; the message says who has to do what.
    """
    hold = await choose_hold(kube, wanted)
    if hold is Hold.POLICY:
        version = await served_policy_version(kube)
        plurals: tuple[str, ...] = ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
        fix = f"coalmine controller policy --version {version} | kubectl apply --server-side -f -"
    else:
        version, plurals = "v1", ("mutatingwebhookconfigurations",)
        fix = "run `coalmine controller run --hold webhook` without --namespace and with an administrator's kubeconfig"
    for plural in plurals:
        try:
            found = await kube.request("GET", f"/apis/{ADMISSION_GROUP}/{version}/{plural}/{HOLD_NAME}")
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            _LOG.info("this controller may not look whether %s is installed: each adoption tries it", HOLD_NAME)
            return
        if found is None:
            raise ValueError(
                f"the hold is not installed (there is no {plural} {HOLD_NAME}), and with --namespace the controller does not "
                f"install what is for the whole cluster. An administrator does it once: {fix}"
            )
