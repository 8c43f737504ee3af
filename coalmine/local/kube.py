"""The local cluster's one door to the Kubernetes API.

Readiness and our own manifests go over plain HTTPS requests, as a kubectl call costs a second of processor time on a
new cluster; tests and people use the real kubectl.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from coalmine.local.errors import KubectlError, LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Api", "Kubectl", "http_ok"]

_FIELD_MANAGER: Final = "coalmine-local"
_APPLY_SECONDS: Final = 30.0


class Api:
    """Talks to the apiserver as the cluster's admin."""

    def __init__(self, server: str, pki: Path) -> None:
        self._server = server
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._resources: dict[str, dict[str, Any]] = {}

    def get(self, path: str, *, timeout: float = 2.0) -> Any | None:
        """Return the JSON (or text) below ``path``; None if the server does not answer, or answers with an error."""
        try:
            with self._opener.open(f"{self._server}{path}", timeout=timeout) as response:
                body = response.read().decode()
        except OSError:
            return None
        try:
            return json.loads(body)
        except ValueError:
            return body

    def apply(self, files: Sequence[Path]) -> tuple[str, ...]:
        """Apply the objects of some files server-side; they must not live in a namespace.

        Returns:
            The paths of the objects.

        Raises:
            LocalError: The server refuses one.
        """
        documents = [
            (file, document) for file in files for document in yaml.safe_load_all(file.read_text()) if document
        ]
        return tuple(self._apply(file, document) for file, document in documents)

    def established(self, path: str) -> bool:
        """Return whether the custom resource definition at ``path`` is served."""
        definition = self.get(path)
        conditions = definition["status"].get("conditions", []) if isinstance(definition, dict) else []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def _apply(self, file: Path, document: dict[str, Any]) -> str:
        path = f"{self._collection(file, document)}/{document['metadata']['name']}"
        request = urllib.request.Request(  # noqa: S310 - always our own https server
            f"{self._server}{path}?fieldManager={_FIELD_MANAGER}&force=true",
            data=json.dumps(document).encode(),
            method="PATCH",
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        try:
            with self._opener.open(request, timeout=_APPLY_SECONDS):
                return path
        except urllib.error.HTTPError as error:
            raise LocalError(f"{file}: the apiserver refuses it: {_message(error)}") from error
        except OSError as error:
            raise LocalError(f"{file}: the apiserver does not answer: {error}") from error

    def _collection(self, file: Path, document: dict[str, Any]) -> str:
        version, kind = document["apiVersion"], document["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if root not in self._resources:
            self._resources[root] = self.get(root, timeout=_APPLY_SECONDS) or {"resources": []}
        for resource in self._resources[root]["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                if not resource["namespaced"]:
                    return f"{root}/{resource['name']}"
                return f"{root}/namespaces/{document['metadata']['namespace']}/{resource['name']}"
        raise LocalError(f"{file}: this Kubernetes has no {kind} of {version}")


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Calls the real kubectl."""

    program: Path
    kubeconfig: Path
    cache: Path

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 150.0) -> str:
        """Run ``kubectl ARGS`` and return its standard output.

        Raises:
            KubectlError: It ended with another code than 0; the text has its standard error.
        """
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.cache), *args]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {' '.join(args)}: no answer within {timeout:.0f} s") from error
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def http_ok(url: str, *, timeout: float = 1.0) -> bool:
    """Return whether a plain HTTP URL on this machine answers with a 2xx status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout):
            return True
    except OSError:
        return False


def _message(error: urllib.error.HTTPError) -> str:
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {body[:300]}"
