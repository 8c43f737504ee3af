"""Ways to what is asked about: the cluster's objects, the control plane, an Envoy's admin page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import click

from mesh.api.debug import API_ANNOTATION, API_POD_ANNOTATION, READER
from mesh.api.istio import ISTIO_GROUP, ISTIO_VERSIONS
from mesh.api.names import ADMIN_PORT, PROXY_CONTAINER, SYSTEM_NAMESPACE
from mesh.api.plaintext import PlaintextReport
from mesh.proxy.identityfiles import AUDIENCE
from mesh.wiring.kinds import (
    DESTINATION_RULES,
    GATEWAY_CLASSES,
    GRPC_ROUTES,
    HTTP_ROUTES,
    PODS,
    REFERENCE_GRANTS,
    SERVICES,
    STANDARD_GATEWAYS,
    TELEMETRIES,
    TRAFFIC_SPLITS,
    VIRTUAL_SERVICES,
    WEBHOOKS,
)
from mesh.wiring.kube import AbsentError, Kind, Kube, KubeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

__all__ = ["ControlPlane", "admin", "gather", "list_all", "plaintext", "run", "seen_plaintext", "with_cluster"]

ResultT = TypeVar("ResultT")
_SECURITY: Final = ("v1", "v1beta1")


def _istio(
    kind: str, plural: str, group: str = ISTIO_GROUP, versions: Sequence[str] = ISTIO_VERSIONS
) -> tuple[Kind, ...]:
    return tuple(Kind(group, version, kind, plural) for version in versions)


_LOOKED_AT: Final[tuple[tuple[Kind, ...], ...]] = (
    (Kind("", "v1", "Namespace", "namespaces"),),
    (SERVICES,),
    (PODS,),
    (Kind("apps", "v1", "Deployment", "deployments"),),
    (Kind("apps", "v1", "StatefulSet", "statefulsets"),),
    (Kind("apps", "v1", "DaemonSet", "daemonsets"),),
    (TRAFFIC_SPLITS,),
    VIRTUAL_SERVICES,
    DESTINATION_RULES,
    _istio("Gateway", "gateways"),
    HTTP_ROUTES,
    GRPC_ROUTES,
    STANDARD_GATEWAYS,
    GATEWAY_CLASSES,
    REFERENCE_GRANTS,
    _istio("ServiceEntry", "serviceentries"),
    _istio("Sidecar", "sidecars"),
    _istio("PeerAuthentication", "peerauthentications", "security.istio.io", _SECURITY),
    _istio("AuthorizationPolicy", "authorizationpolicies", "security.istio.io", _SECURITY),
    _istio("RequestAuthentication", "requestauthentications", "security.istio.io", _SECURITY),
    TELEMETRIES,
)
_FORWARDED: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
_SECONDS: Final = 10
_TOKEN_SECONDS: Final = 600
"""As short as the API server allows."""
_OK, _UNAUTHORIZED = 200, 401


def run(work: Awaitable[ResultT]) -> ResultT:
    """Run a command's work; what goes wrong on the way becomes a sentence."""

    async def awaited() -> ResultT:
        return await work

    try:
        return asyncio.run(awaited())
    except (KubeError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _kubeconfig(given: str | None) -> str | None:
    home = Path("~/.kube/config").expanduser()
    return given or os.environ.get("KUBECONFIG") or (str(home) if home.exists() else None)


@contextlib.asynccontextmanager
async def with_cluster(kubeconfig: str | None) -> AsyncIterator[Kube]:
    """Connect as kubectl does: the kubeconfig that is given, ``$KUBECONFIG``, ``~/.kube/config``, or the pod's own."""
    kube = await Kube.connect(_kubeconfig(kubeconfig))
    try:
        yield kube
    finally:
        await kube.close()


async def gather(kube: Kube) -> list[dict[str, Any]]:
    """Return every object that the checks look at; kinds that the server does not know have none."""
    found = await asyncio.gather(*(list_all(kube, kinds) for kinds in _LOOKED_AT))
    return [manifest for manifests in found for manifest in manifests]


async def list_all(kube: Kube, kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """Return all objects of the first of these kinds that the server knows; none where it knows none."""
    for kind in kinds:
        with contextlib.suppress(AbsentError):
            return (await kube.list_all(kind))[0]
    return []


class ControlPlane:
    """The control plane's HTTP address.

    Where it asks for a token, one is made for the service account ``coalmine-reader``, with the kubeconfig's rights.

    Args:
        url: Such as ``http://127.0.0.1:15080``.
        kubeconfig: For the way there and for tokens.
        pod: The control plane's pod (``namespace/name``), to which the address's port is forwarded; empty where the
            address is reached as it is.
    """

    def __init__(self, url: str, kubeconfig: str | None = None, pod: str = "") -> None:
        self.url = url.rstrip("/")
        self._kubeconfig = kubeconfig
        self._pod = pod
        self._token = ""

    @classmethod
    async def find(cls, kubeconfig: str | None, url: str | None) -> ControlPlane:
        """Return the address that is given, or the one that the control plane has left in the cluster.

        Raises:
            ClickException: There is none.
        """
        if url:
            return cls(url, kubeconfig)
        async with with_cluster(kubeconfig) as kube:
            hooks, _ = await kube.list_all(WEBHOOKS)
        noted = (hook["metadata"].get("annotations") or {} for hook in hooks)
        if (found := next((notes for notes in noted if notes.get(API_ANNOTATION)), None)) is None:
            raise click.ClickException(
                "no control plane of the mesh has registered in this cluster: start `coalmine mesh serve`, or say where "
                "its HTTP address is with --mesh-url"
            )
        return cls(found[API_ANNOTATION], kubeconfig, found.get(API_POD_ANNOTATION, ""))

    async def get(self, path: str) -> str:
        """Return what a page says.

        Raises:
            ClickException: It cannot be had.
        """
        try:
            async with self._reached() as base:
                return await self._read(f"{base}{path}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise click.ClickException(
                f"{self.url}{path}: {error or 'no answer'}: is the control plane running, and is its address reachable "
                "from here? Forward its port (kubectl port-forward) and say where with --mesh-url"
            ) from error

    @contextlib.asynccontextmanager
    async def _reached(self) -> AsyncIterator[str]:
        if not self._pod:
            yield self.url
            return
        namespace, _, name = self._pod.partition("/")
        async with _forwarded(namespace, name, self._kubeconfig, int(self.url.rpartition(":")[2])) as port:
            yield f"http://127.0.0.1:{port}"

    async def _read(self, url: str) -> str:
        try:
            return await _get(url, self._token)
        except _UnauthorizedError:
            self._token = await self._make_token()
            return await _get(url, self._token)

    async def _make_token(self) -> str:
        namespace = self._pod.partition("/")[0] or SYSTEM_NAMESPACE
        try:
            async with with_cluster(self._kubeconfig) as kube:
                return await kube.token(namespace, READER, AUDIENCE, _TOKEN_SECONDS)
        except KubeError as error:
            raise click.ClickException(
                f"{self.url} asks for a token, and none can be made for service account {namespace}/{READER}: {error}: "
                "apply deploy/mesh/reader.yaml, and bind its Role coalmine-ask to whom may ask"
            ) from error


async def plaintext(kubeconfig: str | None, mesh_url: str | None) -> PlaintextReport:
    """Return what the control plane has seen of callers in plaintext.

    Raises:
        ClickException: It cannot be asked.
    """
    plane = await ControlPlane.find(kubeconfig, mesh_url)
    return PlaintextReport.model_validate_json(await plane.get("/v1/plaintext"))


async def seen_plaintext(kubeconfig: str | None, mesh_url: str | None) -> PlaintextReport | None:
    """Return the same; None where it cannot be asked, for those who have other things to say as well."""
    try:
        return await plaintext(kubeconfig, mesh_url)
    except (click.ClickException, KubeError):
        return None


class _UnauthorizedError(click.ClickException):
    """Who asks must show a token, or another one."""


async def _get(url: str, token: str = "") -> str:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # Straight: the shell of a meshed pod has http_proxy set.
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
        session.get(url, headers=headers, allow_redirects=False) as response,
    ):
        text = await response.text()
        if response.status != _OK:
            kind = _UnauthorizedError if response.status == _UNAUTHORIZED else click.ClickException
            raise kind(f"{url}: {response.status} {text.strip()[:300]}")
        return text


async def admin(pod: dict[str, Any], kubeconfig: str | None, *paths: str) -> list[str]:
    """Return what pages of a pod's Envoy say.

    With capture by environment the admin page is on the pod's address; otherwise it is on the pod's own loopback, which
    ``kubectl port-forward`` reaches.

    Args:
        pod: The Pod as the API serves it.
        kubeconfig: For kubectl; None for its own default.
        paths: Such as ``/config_dump``.

    Raises:
        ClickException: The pod has no sidecar, or it cannot be reached.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    host = _admin_host(pod)
    if host is None:
        raise click.ClickException(
            f"pod {name} in namespace {namespace} has no sidecar: see coalmine mesh describe pod {name}"
        )
    try:
        if host == (pod.get("status") or {}).get("podIP"):
            return [await _get(f"http://{host}:{ADMIN_PORT}{path}") for path in paths]
        async with _forwarded(namespace, name, kubeconfig, ADMIN_PORT) as port:
            return [await _get(f"http://127.0.0.1:{port}{path}") for path in paths]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise click.ClickException(
            f"the Envoy of pod {name} in namespace {namespace} does not answer: {error or 'no answer'}"
        ) from error


def _admin_host(pod: dict[str, Any]) -> str | None:
    """Return the address of the admin page as the sidecar's bootstrap says it; None without a sidecar."""
    spec = pod["spec"]
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    sidecar = next((c for c in every if c["name"] == PROXY_CONTAINER), None)
    if sidecar is None:
        return None
    args = [*(sidecar.get("command") or ()), *(sidecar.get("args") or ())]
    text = args[args.index("--config-yaml") + 1] if "--config-yaml" in args else "{}"
    try:
        host = json.loads(text)["admin"]["address"]["socket_address"]["address"]
    except (ValueError, KeyError, TypeError):
        return "127.0.0.1"
    return str(pod.get("status", {}).get("podIP", "")) if host == "$(POD_IP)" else str(host)


@contextlib.asynccontextmanager
async def _forwarded(namespace: str, pod: str, kubeconfig: str | None, port: int) -> AsyncIterator[int]:
    """Forward a free port of this machine to a pod's."""
    command = ["kubectl", *(("--kubeconfig", kubeconfig) if kubeconfig else ())]
    command += ["port-forward", "--namespace", namespace, f"pod/{pod}", f":{port}", "--address", "127.0.0.1"]
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise click.ClickException("kubectl is needed to reach a pod's own loopback: put it into PATH") from error
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe
        assert process.stderr is not None  # noqa: S101 - a pipe
        async with asyncio.timeout(_SECONDS):
            line = await process.stdout.readline()
        if (found := _FORWARDED.match(line)) is None:
            said = line or await process.stderr.read()
            raise click.ClickException(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
        yield int(found[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
