"""What the author of a DestinationRule is told beyond fields that the mesh does not know: nothing is silently ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.resolve.policies import SAFE_EJECTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.api.destinationrule import ClientTls, DestinationRuleSpec, OutlierDetection, Sections, TrafficPolicy
    from mesh.api.loadbalancer import LoadBalancer

__all__ = ["check_destination_rule"]

_OF_FILES = ("clientCertificate", "privateKey", "caCertificates")


def check_destination_rule(spec: DestinationRuleSpec, annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return reason and sentence of everything that has not the effect it may seem to have.

    Args:
        spec: The parsed spec.
        annotations: The DestinationRule's.
    """
    all_may_go = annotations.get(FULL_EJECTION_ANNOTATION) == "true"
    for path, sections in _policies(spec):
        if balancer := sections.load_balancer:
            yield from _balancing(balancer, f"{path}.loadBalancer")
        if detection := sections.outlier_detection:
            yield from _ejection(detection, f"{path}.outlierDetection", all_may_go=all_may_go)
        if sections.tls:
            yield from _tls(sections.tls, f"{path}.tls")
    names = [s.name for s in spec.subsets]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield "Invalid", f"spec.subsets[{index}].name: {name} is there twice: the first is used; give each its own"


def _policies(spec: DestinationRuleSpec) -> Iterator[tuple[str, Sections]]:
    """Yield path and parts of every policy."""
    policies: list[tuple[str, TrafficPolicy | None]] = [("spec.trafficPolicy", spec.traffic_policy)]
    policies += [(f"spec.subsets[{i}].trafficPolicy", s.traffic_policy) for i, s in enumerate(spec.subsets)]
    for path, policy in policies:
        if policy is not None:
            yield path, policy
            for index, port in enumerate(policy.port_level_settings):
                yield f"{path}.portLevelSettings[{index}]", port


def _balancing(wanted: LoadBalancer, path: str) -> Iterator[tuple[str, str]]:
    if wanted.simple == "PASSTHROUGH":
        text = "PASSTHROUGH is not implemented by Coalmine's mesh, which uses LEAST_REQUEST: remove it"
        yield "NotImplemented", f"{path}.simple: {text}"
    if (wanted.warmup or wanted.warmup_duration_secs) and (wanted.consistent_hash or wanted.simple == "RANDOM"):
        name = "warmup" if wanted.warmup else "warmupDurationSecs"
        yield "NoEffect", f"{path}.{name}: only ROUND_ROBIN and LEAST_REQUEST warm endpoints up: use one of them"
    if wanted.warmup and wanted.warmup_duration_secs:
        yield "NoEffect", f"{path}.warmupDurationSecs: warmup is there and is used: remove warmupDurationSecs"
    if (hashing := wanted.consistent_hash) and hashing.minimum_ring_size and (hashing.ring_hash or hashing.maglev):
        yield "NoEffect", f"{path}.consistentHash.minimumRingSize: ringHash or maglev is there and is used: remove it"


def _ejection(wanted: OutlierDetection, path: str, *, all_may_go: bool) -> Iterator[tuple[str, str]]:
    if (wanted.max_ejection_percent or 0) > SAFE_EJECTION and not all_may_go:
        text = f"{wanted.max_ejection_percent} is held to {SAFE_EJECTION}, so that half of the pods go on serving: "
        text += f'write at most {SAFE_EJECTION}, or the annotation {FULL_EJECTION_ANNOTATION}: "true"'
        yield "Limited", f"{path}.maxEjectionPercent: {text}"
    if wanted.consecutive_local_origin_failures is not None and not wanted.split_external_local_origin_errors:
        yield (
            "NoEffect",
            f"{path}.consecutiveLocalOriginFailures has no effect without splitExternalLocalOriginErrors: true: write it",
        )


def _tls(wanted: ClientTls, path: str) -> Iterator[tuple[str, str]]:
    dumped = wanted.dump()
    if wanted.mode in {"DISABLE", "ISTIO_MUTUAL"}:
        for name in (*_OF_FILES, "subjectAltNames", "insecureSkipVerify"):
            if dumped.get(name):
                yield "NoEffect", f"{path}.{name} has no effect with mode {wanted.mode}: remove it"
    if wanted.mode == "SIMPLE" and (wanted.client_certificate or wanted.private_key):
        yield (
            "NoEffect",
            f"{path}: SIMPLE shows no certificate: write mode MUTUAL, or remove clientCertificate and privateKey",
        )
