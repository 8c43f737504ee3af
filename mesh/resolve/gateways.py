"""Gateways: which pods open which ports, for which hosts, and what is behind them.

As in Istio, a Gateway chooses pods by labels in any namespace, and a VirtualService is bound to it by naming it. The port
that a Gateway names is the one that callers use: where a Service of the pods maps it to another one, the proxy listens
on that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mesh.api.gateway import GatewaySpec, split_host
from mesh.resolve.gatewayhosts import common, is_standard, known_as
from mesh.resolve.gatewayservers import Ports
from mesh.resolve.problems import Problem
from mesh.resolve.rules import Rule, read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from mesh.ir.gateways import GatewayView
    from mesh.ir.services import Workload
    from mesh.resolve.problems import Ref
    from mesh.resolve.world import World

__all__ = ["Gateways", "read_gateway"]


def read_gateway(manifest: dict[str, Any]) -> Rule[GatewaySpec]:
    """Return a parsed Gateway."""
    rule = read_rule(manifest, GatewaySpec)
    if rule.spec is None:
        return rule
    told = tuple(Problem(rule.ref, reason, text) for reason, text in _check(rule.spec))
    return replace(rule, problems=(*rule.problems, *told))


def _check(spec: GatewaySpec) -> Iterator[tuple[str, str]]:
    for index, server in enumerate(spec.servers):
        tls, path = server.tls, f"spec.servers[{index}]"
        if tls is None:
            continue
        if server.port.kind in {"http", "tcp"} and "credentialName" in tls.model_dump(
            by_alias=True, exclude_unset=True
        ):
            yield "NoEffect", f"{path}.tls.credentialName has no effect: port {server.port.number} is not HTTPS or TLS"
        if tls.mode == "PASSTHROUGH" and tls.credential_name:
            yield "NoEffect", f"{path}.tls.credentialName has no effect with mode PASSTHROUGH: remove it"
        if tls.files and not tls.credential_name:
            yield (
                "Invalid",
                f"{path}.tls: certificates come from a Secret only: write credentialName; until then it is closed",
            )


@dataclass(frozen=True)
class Gateways:
    """All Gateways in a world.

    Attributes:
        world: Everything that is known.
        rules: The Gateways.
    """

    world: World
    rules: tuple[Rule[GatewaySpec], ...]

    @cached_property
    def _valid(self) -> list[Rule[GatewaySpec]]:
        return sorted((r for r in self.rules if r.spec is not None), key=lambda r: (r.created, r.ref))

    @cached_property
    def pods(self) -> list[Workload]:
        """The pods that are gateways."""
        return [w for w in self.world.workloads.values() if w.gateway]

    def of(self, pod: Workload) -> list[Rule[GatewaySpec]]:
        """Return the Gateways that a pod serves, the oldest first."""
        return [r for r in self._valid if self._serves(pod, r)]

    def _serves(self, pod: Workload, rule: Rule[GatewaySpec]) -> bool:
        if is_standard(rule.ref):
            placement = self.world.edges.placements.get(known_as(rule.ref))
            return placement is not None and placement.serves(pod)
        return rule.spec is not None and set(rule.spec.selector.items()) <= set(pod.labels)

    @cached_property
    def _made(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], Ports]:
        return {}

    def ports(self, pod: Workload) -> Ports:
        """Return what a pod serves; pods of one namespace with the same labels and ports share it."""
        key = (pod.namespace, pod.labels)
        if key not in self._made:
            self._made[key] = Ports(self.world, pod, self.of(pod))
        return self._made[key]

    def view(self, pod: Workload) -> GatewayView:
        """Return what a pod's proxy is told."""
        return self.ports(pod).view(pod)

    @cached_property
    def names(self) -> Mapping[str, Rule[GatewaySpec]]:
        """The Gateways, by the name that rules are bound by."""
        return {known_as(r.ref): r for r in self.rules}

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        found = [p for r in self.rules for p in r.problems]
        for pod in self.pods:
            found += self.ports(pod).problems
        for rule in self._valid:
            if is_standard(rule.ref):
                continue  # its conditions say it
            if not any(self._serves(pod, rule) for pod in self.pods):
                chosen = ", ".join(f"{k}={v}" for k, v in (rule.spec.selector if rule.spec else {}).items())
                text = f"spec.selector: there is no gateway pod with {chosen or 'any labels'}: see deploy/mesh/gateway.yaml"
                found.append(Problem(rule.ref, "NoPods", text))
        return (*dict.fromkeys(found), *self._unbound())

    def _unbound(self) -> Iterator[Problem]:
        """Yield what is wrong with the names that VirtualServices are bound by."""
        for ref, hosts, gateway in self.world.routing.bindings:
            rule = self.names.get(gateway)
            if ref.kind != "VirtualService":
                continue  # its conditions say it
            if rule is None:
                yield Problem(ref, "NotFound", f"spec.gateways: there is no Gateway {gateway}: correct the name")
            elif rule.spec and not any(_meet(s, rule.ref, h, ref) for s in _hosts(rule.spec) for h in hosts):
                text = f"spec.hosts: Gateway {gateway} serves none of them: add one to its servers[].hosts"
                yield Problem(ref, "Unserved", text)


def _hosts(spec: GatewaySpec) -> Iterable[str]:
    return {host for server in spec.servers for host in server.hosts}


def _meet(written: str, gateway: Ref, host: str, ref: Ref) -> bool:
    namespace, pattern = split_host(written, gateway.namespace)
    return namespace in {"*", ref.namespace} and bool(common(pattern, host))
