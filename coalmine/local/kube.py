"""The local cluster's one door to the Kubernetes API.

Readiness is asked with plain HTTPS requests (a kubectl call costs a tenth of a second); objects are applied with the
kubectl that people use as well.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coalmine.local.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Api", "Kubectl", "http_ok"]


class Api:
    """Reads single paths of the apiserver as the cluster's admin."""

    def __init__(self, server: str, pki: Path) -> None:
        self._server = server
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, *, timeout: float = 2.0) -> Any | None:
        """Return the JSON (or text) below ``path``; None if the server does not answer, or answers with an error."""
        try:
            with self._opener.open(f"{self._server}{path}", timeout=timeout) as response:
                body = response.read().decode()
        except (OSError, urllib.error.URLError):
            return None
        try:
            return json.loads(body)
        except ValueError:
            return body


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Calls the real kubectl."""

    program: Path
    kubeconfig: Path
    cache: Path

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run ``kubectl ARGS`` and return its standard output.

        Raises:
            KubectlError: It ended with another code than 0; the text is its standard error.
        """
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.cache), *args]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {' '.join(args)}: no answer within {timeout:.0f} s") from error
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, files: Sequence[Path]) -> None:
        """Apply files server-side."""
        if not files:
            return
        names = [argument for file in files for argument in ("-f", str(file))]
        self("apply", "--server-side", "--force-conflicts", "--field-manager", "coalmine-local", *names)

    def await_custom_resources(self, files: Sequence[Path]) -> None:
        """Wait until the custom resources that these files define are served."""
        if files:
            names = [argument for file in files for argument in ("-f", str(file))]
            self("wait", "--for=condition=Established", "--timeout=30s", *names)


def http_ok(url: str, *, timeout: float = 1.0) -> bool:
    """Return whether a plain HTTP URL on this machine answers with a 2xx status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout):
            return True
    except (OSError, urllib.error.URLError):
        return False
