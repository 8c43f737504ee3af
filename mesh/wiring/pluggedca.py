"""The Secret with an issuing certificate that somebody else made: Istio's ``cacerts``, or one that an option names."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any, Final

from mesh.ca.plugged import read_plugged
from mesh.ca.roots import SecretError
from mesh.resolve.problems import Problem, Ref
from mesh.wiring.kinds import SECRETS
from mesh.wiring.kube import AbsentError, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mesh.ca.certificates import Pair
    from mesh.wiring.kube import Kube

__all__ = ["CACERTS", "NotYetError", "PluggedSecret"]

log = logging.getLogger(__name__)
CACERTS: Final = "cacerts"
"""Where Istio's people put theirs."""
_FORBIDDEN: Final = 403


class NotYetError(Exception):
    """The Secret cannot be used, and there is nothing else to sign with; the message says why."""


class PluggedSecret:
    """Reads the Secret.

    Args:
        kube: The client.
        namespace: Its namespace.
        name: Its name; empty for ``cacerts``, which need not be there.
        clock: The time, with its zone.

    Attributes:
        problem: Why it cannot be used; None where it can, or where there is none.
        source: What people call the origin of what it holds.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, *, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._clock = clock
        self._namespace = namespace
        self._named = bool(name)
        self._name = name or CACERTS
        self._warned = False
        self._told = ""
        self.problem: Problem | None = None
        self.source: Final = f"Secret {namespace}/{self._name}"

    async def read(self) -> Pair | None:
        """Return what the Secret holds; None where there is none, or where it cannot be used (``problem``).

        Raises:
            KubeError: It cannot be read now.
        """
        try:
            manifest = await self._kube.get(SECRETS, self._namespace, self._name)
        except AbsentError:
            self._note("it is not there: create it, or leave out --ca-secret" if self._named else "")
            return None
        except KubeError as error:
            if self._named or error.status != _FORBIDDEN:
                raise
            self._warn(error)
            return None
        try:
            found = read_plugged(_decoded(manifest), self._clock())
        except SecretError as error:
            self._note(str(error), manifest["metadata"].get("uid", ""))
            return None
        self._note("")
        return found

    def _warn(self, error: KubeError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s is not looked at: %s: let the mesh's Role get it, see docs/identity.md", self.source, error)

    def _note(self, text: str, uid: str = "") -> None:
        if text == self._told:
            return
        self._told = text
        if not text:
            self.problem = None
            log.info("%s is in order", self.source)
            return
        ref = Ref("v1", "Secret", self._namespace, self._name, uid)
        self.problem = Problem(ref, "Invalid", f"{text}; until then certificates go on as before")
        log.error("%s: %s", self.source, self.problem.message)


def _decoded(manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the data; base64 is the API server's own, so it can be trusted."""
    return {key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
