"""The authority at work: its Secret, the roots in every namespace, renewals, and the exchange of a root."""

from __future__ import annotations

import asyncio
import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mesh.ads.credentials import ServerCertificate
from mesh.ca.authority import Authority
from mesh.ca.roots import Held, SecretError, dump, first, load, next_step
from mesh.proxy.identityfiles import CONFIG_MAP, MOUNT, config_map_data
from mesh.wiring.kinds import CONFIG_MAPS, NAMESPACES, SECRETS
from mesh.wiring.kube import AbsentError, ConflictError, KubeError
from mesh.wiring.pluggedca import NotYetError, PluggedSecret
from mesh.wiring.reflector import Reflector
from mesh.xds.resources import LDS, SDS, Resource, pack
from mesh.xds.tls import LEAF, ROOTS, leaf_secret, roots_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mesh.ads.session import Session
    from mesh.ca.certificates import Leaf, Pair
    from mesh.ca.roots import Roots
    from mesh.ir.services import Workload
    from mesh.resolve.problems import Problem
    from mesh.wiring.kube import Kube

__all__ = ["ROTATE_ANNOTATION", "SECRET", "IdentityConfig", "IdentityKeeper", "create_or_read"]

log = logging.getLogger(__name__)
SECRET: Final = "coalmine-ca"  # noqa: S105 - a name
ROTATE_ANNOTATION: Final = "mesh.coalmine.dev/rotate-root"
"""On the Secret: a new value asks for a new root."""
_DONE: Final = "mesh.coalmine.dev/rotated-root"
_LABELS: Final = {"app.kubernetes.io/part-of": "coalmine"}
_PERIOD: Final = 1.0
_AGAIN: Final = 300.0
"""Seconds after which every ConfigMap is written again, should somebody have changed one."""


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """What is told.

    Attributes:
        namespace: Where the Secret is.
        host: Host or address under which pods reach the control plane.
        leaf_life: How long a workload's certificate lives.
        hold: How long each step of a root's exchange lasts at least.
        mount_root: What precedes the paths of mounted files.
        plugged: Name of the Secret with somebody else's issuing certificate; empty for ``cacerts``, where that is there.
    """

    namespace: str
    host: str
    leaf_life: timedelta
    hold: timedelta
    mount_root: str = ""
    plugged: str = ""


def _now() -> datetime:
    return datetime.now(UTC)


class IdentityKeeper:
    """Keeps everybody's certificates in time. Use ``start`` to make one.

    Args:
        kube: The client.
        config: What is told.
        authority: It.
        manifest: The Secret.
        plugged: The Secret with somebody else's issuing certificate.
        changed: Called when proxies must be offered other secrets.

    Attributes:
        namespaces: All namespaces; each has a ConfigMap with the roots.
        server: The certificate of the discovery server.
    """

    def __init__(
        self,
        kube: Kube,
        config: IdentityConfig,
        authority: Authority,
        manifest: dict[str, Any],
        plugged: PluggedSecret,
        *,
        changed: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._config = config
        self._authority = authority
        self._plugged = plugged
        self._manifest = manifest
        self._changed = changed
        self._dirty = asyncio.Event()
        self.namespaces: Reflector[bool] = Reflector(kube, (NAMESPACES,), _is_living, self._dirty.set)
        self._packed: dict[str, tuple[Leaf, Resource]] = {}
        self._trust = pack(ROOTS, roots_secret(authority.roots.trusted))
        leaf = authority.server(config.host)
        self.server = ServerCertificate(leaf.chain, leaf.key)

    @classmethod
    async def start(cls, kube: Kube, config: IdentityConfig, changed: Callable[[], None]) -> IdentityKeeper:
        """Return a keeper of what the Secret holds, which is made where there is none.

        Raises:
            KubeError: The Secret can neither be read nor made, for now.
            SecretError: It does not hold what it should.
            NotYetError: Nothing was ever signed, and what is to sign cannot be used.
        """
        plugged = PluggedSecret(kube, config.namespace, config.plugged, clock=_now)
        manifest = await create_or_read(kube, config.namespace, plugged)
        authority = Authority(_roots_of(manifest), clock=_now, leaf_life=config.leaf_life)
        return cls(kube, config, authority, manifest, plugged, changed=changed)

    @property
    def authority(self) -> Authority:
        """What signs."""
        return self._authority

    @property
    def source(self) -> str:
        """Where the issuing certificate is from, for people."""
        own = f"Secret {self._config.namespace}/{SECRET}"
        if not self._authority.roots.active.anchors:
            return f"own root ({own})"
        return f"{self._plugged.source} (copy in {own})"

    def version(self, proxy: str) -> str:
        """Return the version of the certificate that a proxy should hold; empty for none."""
        known = self._packed.get(proxy)
        return known[1].version if known else ""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the Secret that somebody else writes."""
        return (self._plugged.problem,) if self._plugged.problem else ()

    def secrets(self, workload: Workload) -> tuple[Resource, ...]:
        """Return the secrets of a pod's proxy: its certificate and the roots."""
        proxy = f"{workload.namespace}/{workload.name}"
        leaf = self._authority.workload(proxy, workload.identity)
        known = self._packed.get(proxy)
        if known is None or known[0] is not leaf:
            known = self._packed[proxy] = (leaf, pack(LEAF, leaf_secret(leaf.chain, leaf.key)))
        return (known[1], self._trust)

    def retain(self, proxies: set[str]) -> None:
        """Forget the certificates of all other proxies."""
        self._authority.retain(proxies)
        self._packed = {proxy: known for proxy, known in self._packed.items() if proxy in proxies}

    async def run(self, proxies: Callable[[], Iterable[tuple[Workload, Session | None]] | None]) -> None:
        """Renew certificates, and exchange the root when that is wanted, until cancelled.

        Args:
            proxies: Returns the pods that have a sidecar and run, with their streams; None while that is not known.
        """
        while True:
            await asyncio.sleep(_PERIOD)
            if self._authority.due():
                self._renew_server()
                self._changed()
            if (present := proxies()) is None:
                continue
            try:
                await self._exchange(present)
            except SecretError as error:
                log.error("Secret %s/%s: %s: certificates go on as before", self._config.namespace, SECRET, error)  # noqa: TRY400
            except ConflictError:
                pass  # somebody has written it meanwhile: the next turn reads that
            except KubeError as error:
                log.warning("Secret %s/%s: %s", self._config.namespace, SECRET, error)

    async def publish_roots(self) -> None:
        """Keep the roots in every namespace until cancelled."""
        while True:
            self._dirty.clear()
            await self._write_roots()
            try:
                async with asyncio.timeout(_AGAIN):
                    await self._dirty.wait()
            except TimeoutError:
                continue

    async def _write_roots(self) -> None:
        roots = self._authority.roots.trusted.decode()
        data = config_map_data(roots, self._config.mount_root + MOUNT)
        failed = False
        for (_, name), living in sorted(self.namespaces.items.items()):
            meta = {"namespace": name, "name": CONFIG_MAP, "labels": _LABELS}
            try:
                if living:
                    await self._kube.apply(CONFIG_MAPS, {"metadata": meta, "data": data})
            except AbsentError:
                continue  # the namespace is gone
            except KubeError as error:
                log.warning("ConfigMap %s/%s: %s", name, CONFIG_MAP, error)
                failed = True
        if failed:
            await asyncio.sleep(_PERIOD)
            self._dirty.set()

    async def _exchange(self, proxies: Iterable[tuple[Workload, Session | None]]) -> None:
        manifest = await self._kube.get(SECRETS, self._config.namespace, SECRET)
        # Another control plane may have gone on with it, or a person have put it back.
        self._adopt(manifest)
        roots = self._authority.roots
        notes = manifest["metadata"].get("annotations") or {}
        asked = notes.get(ROTATE_ANNOTATION)
        wanted = asked is not None and asked != notes.get(_DONE)
        plugged = await self._wanted_issuer(roots)
        following = next_step(
            roots,
            self._held(proxies),
            _now(),
            wanted=wanted,
            hold=self._config.hold,
            leaf_life=self._config.leaf_life,
            plugged=plugged,
        )
        if following is roots:
            return
        written = {**manifest, "data": _encoded(dump(following))}
        if wanted and plugged is None and following.phase == "adding":
            written["metadata"] = {**manifest["metadata"], "annotations": {**notes, _DONE: asked}}
        if following.phase != roots.phase:
            log.info("exchange of the root: %s -> %s", roots.phase, following.phase)
        else:
            log.info("another issuing certificate, until %s", following.active.expires.isoformat())
        self._adopt(await self._kube.replace(SECRETS, written))

    async def _wanted_issuer(self, roots: Roots) -> Pair | None:
        """Return what somebody plugs in; while that is spoilt, what was plugged in before."""
        before = self._plugged.problem
        found = await self._plugged.read()
        if self._plugged.problem != before:
            self._changed()
        present = roots.next or roots.active
        return present if found is None and self._plugged.problem and present.anchors else found

    def _adopt(self, manifest: dict[str, Any]) -> None:
        if manifest.get("data") == self._manifest.get("data"):
            return
        roots = _roots_of(manifest)
        self._manifest = manifest
        self._authority.adopt(roots)
        if self._authority.roots.trusted != _trusted(self._trust):
            self._trust = pack(ROOTS, roots_secret(roots.trusted))
            self._dirty.set()
        self._renew_server()
        self._changed()

    def _held(self, proxies: Iterable[tuple[Workload, Session | None]]) -> Held:
        trust = leaves = True
        for workload, session in proxies:
            if session is None or not session.holds(LDS):
                return Held(trust=False, leaves=False)
            ledger = session.ledgers[SDS]
            for resource in self.secrets(workload):
                if resource.name in ledger.names and ledger.held.get(resource.name) != resource.version:
                    trust = trust and resource.name != ROOTS
                    leaves = leaves and resource.name != LEAF
        return Held(trust=trust, leaves=leaves)

    def _renew_server(self) -> None:
        leaf = self._authority.server(self._config.host)
        self.server.renew(leaf.chain, leaf.key)


async def create_or_read(kube: Kube, namespace: str, plugged: PluggedSecret | None = None) -> dict[str, Any]:
    """Return the Secret; of several control planes that start at once, one makes it and all use that one.

    Args:
        kube: The client.
        namespace: Where it is.
        plugged: What signs in a new mesh, where it is there; a root of our own otherwise.

    Raises:
        NotYetError: There is no Secret yet, and what is plugged in cannot be used.
    """
    try:
        return await kube.get(SECRETS, namespace, SECRET)
    except AbsentError:
        issuer = await plugged.read() if plugged else None
        if plugged and plugged.problem:
            raise NotYetError(f"{plugged.source}: {plugged.problem.message}") from None
        meta = {"namespace": namespace, "name": SECRET, "labels": _LABELS}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"}
        if await kube.create(SECRETS, {**manifest, "data": _encoded(dump(first(_now(), issuer)))}):
            what = plugged.source if plugged and issuer else "a new root"
            log.info("Secret %s/%s: certificates are signed by %s", namespace, SECRET, what)
        return await kube.get(SECRETS, namespace, SECRET)


def _roots_of(manifest: Mapping[str, Any]) -> Roots:
    return load({key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()})


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def _trusted(resource: Resource) -> bytes:
    found: bytes = resource.message.validation_context.trusted_ca.inline_bytes  # type: ignore[attr-defined]
    return found


def _is_living(manifest: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" not in manifest["metadata"]
