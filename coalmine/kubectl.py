"""The API server as the user reaches it: through their own kubectl, with its contexts, logins and rights."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AbsentError", "ForbiddenError", "Kubectl", "KubectlError"]

_SECONDS: Final = 15.0
_PREFIX: Final = re.compile(r"^(Error from server( \(\w+\))?|error): ")


class KubectlError(click.ClickException):
    """kubectl failed; the message has its own words."""


class AbsentError(KubectlError):
    """There is no such object, or no such kind."""


class ForbiddenError(KubectlError):
    """The user may not do that."""


@dataclass(frozen=True)
class Kubectl:
    """Calls kubectl.

    Attributes:
        kubeconfig: None for kubectl's own default.
        context: None for the kubeconfig's current one.
        seconds: How long a call may take.
    """

    kubeconfig: str | None = None
    context: str | None = None
    seconds: float = _SECONDS

    @property
    def command(self) -> str:
        """How people type it, so that what they copy reaches the same cluster."""
        flags = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return " ".join(["kubectl", *flags, *([f"--context={self.context}"] if self.context else [])])

    def run(self, *args: str, stdin: str | None = None) -> str:
        """Return what kubectl prints.

        Raises:
            KubectlError: It is not there, fails or takes too long.
        """
        return self.both(*args, stdin=stdin)[0]

    def both(self, *args: str, stdin: str | None = None) -> tuple[str, str]:
        """Return what kubectl prints, and what it prints beside it."""
        flags = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        flags += [f"--context={self.context}"] if self.context else []
        try:
            done = subprocess.run(
                ["kubectl", *flags, *args],
                input=stdin or "",
                capture_output=True,
                text=True,
                timeout=self.seconds,
                check=False,
            )
        except FileNotFoundError:
            raise KubectlError("kubectl is not in PATH: install it (https://kubernetes.io/docs/tasks/tools/)") from None
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {' '.join(args[:3])}: no answer within {self.seconds:.0f} s") from None
        if done.returncode:
            raise _error(done.stderr)
        return done.stdout, done.stderr

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the API server, such as ``/apis/coalmine.dev/v1alpha1/rollouts``."""
        return json.loads(self.run("get", "--raw", path))

    def object(self, *args: str) -> Any:
        """Return the JSON of ``kubectl ARGS -o json``."""
        return json.loads(self.run(*args, "-o", "json"))

    def create(self, objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Create several objects at once, and return them as the server answered.

        Raises:
            KubectlError: The server refuses one.
        """
        text = self.run("create", "-f", "-", "-o", "json", "--validate=false", stdin=json.dumps(_list(objects)))
        decoder, at = json.JSONDecoder(), 0
        found: list[dict[str, Any]] = []
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            one, at = decoder.raw_decode(text, at)
            found += one["items"] if one.get("kind") == "List" else [one]
        return found

    def namespace(self) -> str:
        """Return the context's namespace."""
        return self.run("config", "view", "--minify", "-o", "jsonpath={..namespace}").strip() or "default"


def _list(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def _error(said: str) -> KubectlError:
    words = said.strip().splitlines()[-1] if said.strip() else "it ended without a word"
    text = _PREFIX.sub("", words)
    if "(NotFound)" in words or "the server could not find the requested resource" in words:
        return AbsentError(text)
    if "doesn't have a resource type" in words:
        return AbsentError(text)
    if "(Forbidden)" in words or "is forbidden" in words:
        return ForbiddenError(text)
    return KubectlError(text)
