"""The servers of all Gateways that a pod serves, put together by port."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mesh.api.gateway import split_host
from mesh.ir.actions import Redirect
from mesh.ir.gateways import Credential, GatewayChain, GatewayListener, GatewayRoutes, GatewayTls, GatewayView
from mesh.ir.traffic import Destination, Match, Route, VirtualHost
from mesh.resolve.clauses import Caller, applies
from mesh.resolve.connections import idle_timeouts
from mesh.resolve.gatewayhosts import bound_to, common, is_standard, known_as
from mesh.resolve.kinds import read_kinds, told_apart
from mesh.resolve.problems import Problem
from mesh.resolve.routes import WHOLE, RouteResolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mesh.api.gateway import GatewayServer, GatewaySpec, ServerTls
    from mesh.api.virtualservice import WeightedDestination
    from mesh.ir.services import ServiceKey, Workload
    from mesh.ir.splits import Split
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule
    from mesh.resolve.virtualservices import Ruling
    from mesh.resolve.world import World

__all__ = ["Ports", "counted_for"]

_REDIRECT = Route("https-redirect", Match(), redirect=Redirect(scheme="https"))


@dataclass(frozen=True)
class _Server:
    """A server of a Gateway, where the pod listens for it."""

    ref: Ref
    gateway: str
    index: int
    spec: GatewayServer
    port: int
    path: str

    @property
    def kind(self) -> str:
        """How its connections are read; TLS that ends nowhere here is ``tls`` whatever the protocol is."""
        return self.spec.port.kind

    @property
    def encrypted(self) -> bool:
        return self.kind in {"https", "tls"}

    @property
    def label(self) -> str:
        """A name of its own."""
        return f"{self.gateway}.{self.index}"

    def allowed(self) -> list[tuple[str, str]]:
        """Return the hosts as namespace and name."""
        return [split_host(host, self.ref.namespace) for host in self.spec.hosts]

    def takes(self, namespace: str, host: str) -> list[str]:
        """Return the names that it serves of a VirtualService's host; none where it serves none."""
        found = [common(p, host) for wanted, p in self.allowed() if wanted in {"*", namespace}]
        return sorted({name for name in found if name})


@dataclass
class _Port:
    """What is open on one port so far."""

    first: _Server
    chains: list[GatewayChain] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Server names of TLS that are taken; ``*`` for all that no other chain takes."""
    domains: dict[str, _Server] = field(default_factory=dict)
    """Of plain HTTP, the domains that are taken."""
    hosts: list[VirtualHost] = field(default_factory=list)


class Ports:
    """What the pods of one namespace with the same labels serve.

    Args:
        world: Everything that is known.
        pod: One of them.
        gateways: The Gateways that it serves, the oldest first.

    Attributes:
        problems: What the authors of the Gateways should be told.
    """

    def __init__(self, world: World, pod: Workload, gateways: Sequence[Rule[GatewaySpec]]) -> None:
        self._world = world
        self._pod = pod
        self.problems: list[Problem] = []
        self._resolver = RouteResolver(world.outbounds.reachable(world.caller(pod)), world.splits.applied)
        self._backends = world.splits.backend_of()
        self._open: dict[int, _Port] = {}
        self._routes: list[GatewayRoutes] = []
        self._credentials: dict[str, Credential] = {}
        for rule in gateways:
            for server in self._servers(rule):
                self._add(server)
        self._view = self._finished()

    def view(self, pod: Workload) -> GatewayView:
        """Return what the proxy of one of the pods is told."""
        return replace(self._view, pod=pod.name, address=pod.address)

    def _servers(self, rule: Rule[GatewaySpec]) -> Iterator[_Server]:
        for index, server in enumerate(rule.spec.servers if rule.spec else ()):
            name, path = known_as(rule.ref), f"spec.servers[{index}]"
            if is_standard(rule.ref):
                name, path = bound_to(rule.ref, server.name), f"spec.listeners[{server.name}]"
            yield _Server(rule.ref, name, index, server, self._listens(server.port.number), path)

    def _listens(self, number: int) -> int:
        """Return where the pod listens for what callers send to a port of its Service."""
        labels = set(self._pod.labels)
        for _, service in sorted(self._world.services.items()):
            if service.namespace != self._pod.namespace or not service.selector or not set(service.selector) <= labels:
                continue
            port = next((p for p in service.ports if p.port == number), None)
            if port and isinstance(port.target, int):
                return port.target
            named = (p.number for p in self._pod.ports if port and p.name == port.target)
            if port and (found := next(named, None)):
                return found
        return number

    def _add(self, server: _Server) -> None:
        port = self._open.setdefault(server.port, _Port(server))
        first = port.first
        together = (server.encrypted and first.encrypted) or (server.kind == first.kind == "http")
        if server is not first and not together:
            where = f"{first.path} of Gateway {first.gateway}"
            text = f"{server.path}.port: {server.spec.port.protocol} cannot share port {server.spec.port.number} with {where}"
            self._tell(server, "Shadowed", f"{text} ({first.spec.port.protocol}): use another port")
        elif server.kind == "http":
            self._add_http(port, server)
        elif server.kind == "tcp":
            self._add_connections(port, GatewayChain("tcp"), server)
        elif server.spec.tls and server.spec.tls.mode == "PASSTHROUGH":
            self._add_passthrough(port, server)
        elif server.spec.tls:
            self._add_terminated(port, server, server.spec.tls)

    def _add_http(self, port: _Port, server: _Server) -> None:
        if not port.chains:
            port.chains.append(GatewayChain("http", routes=f"http.{server.port}"))
        if server.spec.tls and server.spec.tls.https_redirect:
            names = sorted({name for _, name in server.allowed()})
            found = [VirtualHost(("", name), server.port, (name,), (_REDIRECT,)) for name in names]
        else:
            found = self._hosts(server)
        for host in found:
            taken = [d for d in host.domains if d in port.domains]
            for domain in taken:
                other = port.domains[domain]
                text = f"{server.path}.hosts: {domain} on port {server.spec.port.number} is served by Gateway {other.gateway}"
                if other.gateway != server.gateway:
                    self._tell(server, "Shadowed", f"{text} already: use one of the two")
            left = tuple(d for d in host.domains if d not in port.domains)
            port.domains |= dict.fromkeys(left, server)
            if left:
                port.hosts.append(replace(host, domains=left))

    def _add_terminated(self, port: _Port, server: _Server, tls: ServerTls) -> None:
        made = self._tls(server, tls)
        names = self._free_names(port, server, [name for _, name in server.allowed()])
        if made is None or not names:
            return
        chain = GatewayChain(server.label, _match(names), made)
        if server.kind == "tls":
            self._add_connections(port, chain, server)
            return
        routes = f"https.{server.port}.{server.label}"
        self._routes.append(GatewayRoutes(routes, server.port, tuple(self._hosts(server))))
        port.chains.append(replace(chain, routes=routes))

    def _add_connections(self, port: _Port, chain: GatewayChain, server: _Server) -> None:
        """Add a chain whose connections go where the first matching TCP rule says."""
        for _, ruling in self._bound(server):
            for ref, rule in ruling.tcp:
                caller = self._caller(server)
                number = server.spec.port.number
                if rule.match and not any(applies(m, caller, ref.namespace, number) for m in rule.match):
                    continue
                if found := self._destinations(rule.route, ref.namespace, number):
                    port.chains.append(replace(chain, destinations=found))
                    return

    def _add_passthrough(self, port: _Port, server: _Server) -> None:
        number, count = server.spec.port.number, 0
        for _, ruling in self._bound(server):
            for ref, rule in ruling.tls:
                matches = [m for m in rule.match if applies(m, self._caller(server), ref.namespace, number)]
                asked = {n for m in matches for h in m.sni_hosts for n in server.takes(ref.namespace, h.lower())}
                found = self._destinations(rule.route, ref.namespace, number)
                if found and (names := self._free_names(port, server, sorted(asked))):
                    label = f"{server.label}.{count}"
                    port.chains.append(GatewayChain(label, _match(names), destinations=found))
                    count += 1

    def _free_names(self, port: _Port, server: _Server, names: Sequence[str]) -> list[str]:
        """Return the server names that no chain of the port has yet, and take them."""
        for name in names:
            if name in port.names:
                text = (
                    f"{server.path}.hosts: {name} on port {server.spec.port.number} has a certificate or a rule already"
                )
                self._tell(server, "Shadowed", f"{text}: it is used, and this one is not; remove one of them")
        free = [n for n in dict.fromkeys(names) if n not in port.names]
        port.names.update(free)
        return free

    def _tls(self, server: _Server, tls: ServerTls) -> GatewayTls | None:
        """Return how TLS ends; None while its Secret cannot be used: then the server is closed, and says why."""
        mutual = tls.mode in {"MUTUAL", "OPTIONAL_MUTUAL"}
        if not tls.credential_name:
            return None
        own = self._credential(server, tls.credential_name)
        if own is None:
            return None
        roots = ""
        if mutual:
            roots = f"{tls.credential_name}-cacert"
            beside = self._world.credentials.get((self._pod.namespace, roots))
            ca = own.ca or (beside.ca or beside.chain if beside else b"")
            if not ca:
                text = f"{server.path}.tls.credentialName: mode {tls.mode} needs the callers' roots: put them into the "
                self._tell(
                    server, "NoCredential", f"{text}Secret as ca.crt, or into a Secret {roots}; until then it is closed"
                )
                return None
            self._credentials[roots] = Credential(ca=ca)
        self._credentials[tls.credential_name] = own
        return GatewayTls(
            tls.credential_name, roots, tls.mode == "MUTUAL", tls.min_protocol_version, tls.max_protocol_version
        )

    def _credential(self, server: _Server, name: str) -> Credential | None:
        placement = self._world.edges.placements.get(known_as(server.ref)) if is_standard(server.ref) else None
        key = placement.secrets.get(name) if placement else None
        found = self._world.credentials.get(key or (self._pod.namespace, name))
        where = f"{server.path}.tls.credentialName: "
        if found is None:
            text = f"{where}there is no Secret {name} in namespace {self._pod.namespace}, where the gateway's pods are, or "
            text += "the mesh may not read it: create it there (see deploy/mesh/gateway.yaml); until then it is closed"
            self._tell(server, "NoCredential", text)
            return None
        if found.problem or not found.chain:
            told = found.problem or "it has no tls.crt and tls.key"
            text = f"{where}Secret {self._pod.namespace}/{name} cannot be used: {told}; until then it is closed"
            self._tell(server, "NoCredential", text)
            return None
        return found

    def _caller(self, server: _Server) -> Caller:
        return Caller(self._pod.namespace, gateway=server.gateway)

    def _bound(self, server: _Server) -> list[tuple[str, Ruling]]:
        """Return hosts with what VirtualServices bound to the Gateway say about them."""
        return list(self._world.routing.bound(self._caller(server), lambda ns, host: bool(server.takes(ns, host))))

    def _hosts(self, server: _Server) -> list[VirtualHost]:
        """Return the hosts of an HTTP server with their routes; of two with one domain the first keeps it."""
        found, taken = [], set[str]()
        number = server.spec.port.number
        for host, ruling in self._bound(server):
            namespaces = {ref.namespace for ref in ruling.refs}
            names = {n for namespace in namespaces for n in server.takes(namespace, host)}
            domains = tuple(sorted(names - taken))
            routes = self._resolver.ruled(ruling, self._caller(server), ("", host), number)
            if domains and routes:
                taken.update(domains)
                found.append(VirtualHost(("", host), server.port, domains, self._counted(routes)))
        return found

    def _counted(self, routes: Sequence[Route]) -> tuple[Route, ...]:
        """Return routes that count for the Service behind them, each kind of request apart where it is split."""
        found: list[Route] = []
        for route in routes:
            counted = counted_for(route, self._backends)
            host = counted.host or ("", "")
            if host in self._world.splits.applied:
                found += told_apart([counted], read_kinds(self._world.services[host].kinds)[0])
            else:
                found.append(counted)
        return tuple(found)

    def _destinations(self, route: Sequence[WeightedDestination], namespace: str, port: int) -> tuple[Destination, ...]:
        """Return where connections go; a split lies over a TCP port's cluster itself."""
        alone = len(route) == 1
        found = [
            Destination(self._resolver.cluster(d.destination, namespace, port), WHOLE if alone else d.weight)
            for d in route
        ]
        return tuple(d for d in found if d.weight)

    def _finished(self) -> GatewayView:
        listeners = []
        for number, port in sorted(self._open.items()):
            if port.first.kind == "http":
                self._routes.append(GatewayRoutes(f"http.{number}", number, tuple(port.hosts)))
            if port.chains:
                listeners.append(GatewayListener(number, port.first.encrypted, tuple(port.chains)))
        used = {c.routes for listener in listeners for c in listener.chains}
        routes = [r for r in self._routes if r.name in used]
        clusters = {c for r in routes for h in r.hosts for route in h.routes for c in route.clusters}
        clusters |= {d.cluster for listener in listeners for c in listener.chains for d in c.destinations}
        outbound, hashed = self._world.outbounds.behind(
            self._world.caller(self._pod), clusters, [h for r in routes for h in r.hosts]
        )
        keyed, ends = iter(hashed), idle_timeouts(outbound.upstreams)
        listeners = [
            replace(li, chains=tuple(replace(c, idle_timeout=ends(c.destinations)) for c in li.chains))
            for li in listeners
        ]
        return GatewayView(
            namespace=self._pod.namespace,
            pod=self._pod.name,
            address=self._pod.address,
            listeners=tuple(listeners),
            routes=tuple(replace(r, hosts=tuple(next(keyed) for _ in r.hosts)) for r in routes),
            outbound=outbound,
            credentials=tuple(sorted(self._credentials.items(), key=lambda item: item[0])),
            authorization=self._world.authorization.of(self._pod),
            tokens=self._world.tokens.of(self._pod),
            tracing=self._world.telemetry.tracing(self._pod),
        )

    def _tell(self, server: _Server, reason: str, text: str) -> None:
        self.problems.append(Problem(server.ref, reason, text))


def _match(names: Sequence[str]) -> tuple[str, ...]:
    return () if "*" in names else tuple(sorted(names))


def counted_for(route: Route, backends: Mapping[ServiceKey, Split]) -> Route:
    """Return a route whose requests count for the host that is split behind it, or else for the Service that it leads to.

    Args:
        route: The route.
        backends: The split that each backend belongs to.
    """
    services = [(d.cluster.namespace, d.cluster.service) for d in route.destinations]
    for key in services:
        if (split := backends.get(key)) is not None:
            return replace(route, host=split.host)
    return replace(route, host=services[0]) if services and services[0][0] else route
