"""What the checks share: the way to the cluster, and what is read once for all."""

from __future__ import annotations

import os
import shlex
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import coalmine
from coalmine.kubectl import AbsentError, ForbiddenError, KubectlError

if TYPE_CHECKING:
    from coalmine.kubectl import Kubectl

__all__ = ["Look", "shipped"]

_SETTINGS: Final = "cluster.json"
_PACKAGE: Final = Path(coalmine.__file__).parent


def shipped(*parts: str) -> Path:
    """Return a file under deploy/ or crds/: in a wheel it is in the package, in a checkout beside it."""
    own = _PACKAGE.joinpath(*parts)
    return own if own.exists() else _PACKAGE.parent.joinpath(*parts)


@dataclass
class Look:
    """One visit.

    Attributes:
        kubectl: The way to the cluster.
        namespace: Whose Rollouts are looked at; None for all.
        controller_url: Where the controller's health is served; empty where that is not known.
        mesh_url: Where the mesh's control plane is; None to find it.
        config: The controller's configuration; None where it is not here.
        policy_version: Of MutatingAdmissionPolicy, as the API server has it; None where it has none. Found first.
    """

    kubectl: Kubectl
    namespace: str | None = None
    controller_url: str = ""
    mesh_url: str | None = None
    config: Path | None = None
    policy_version: str | None = None
    _cache: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def scope(self) -> tuple[str, ...]:
        """Kubectl's options for the namespaces that are looked at."""
        return ("-A",) if self.namespace is None else ("-n", self.namespace)

    def rollouts(self) -> list[dict[str, Any]]:
        """Return the Rollouts; none where the kind is not installed.

        Raises:
            KubectlError: They cannot be read.
        """
        with self._lock:
            if "rollouts" not in self._cache:
                try:
                    self._cache["rollouts"] = self.kubectl.object("get", "rollouts.coalmine.dev", *self.scope)["items"]
                except AbsentError:
                    self._cache["rollouts"] = []
            found: list[dict[str, Any]] = self._cache["rollouts"]
        return found

    def narrow(self) -> str:
        """Look at the context's namespace alone where this user may not see all; returns its name, else nothing."""
        if self.namespace is None:
            try:
                self.rollouts()
            except ForbiddenError:
                self.namespace = self.kubectl.namespace()
                return self.namespace
            except KubectlError:
                pass  # each check tells it
        return ""

    def optional(self, *args: str) -> Any:
        """Return the JSON of a kubectl command; None where there is no such thing.

        Raises:
            KubectlError: It cannot be read.
        """
        try:
            return self.kubectl.object(*args)
        except ForbiddenError:
            raise
        except AbsentError:
            return None

    @property
    def local_folder(self) -> Path | None:
        """The folder of the cluster of ``coalmine local``, where it is one."""
        named = self.kubectl.kubeconfig or os.environ.get("KUBECONFIG") or ""
        path = Path(named)
        return path.parent if named and (path.parent / _SETTINGS).is_file() else None

    def apply(self, *paths: Path) -> str:
        """Return the command that applies files that we ship."""
        files = " ".join(f"-f {shlex.quote(str(path))}" for path in paths)
        return f"{self.kubectl.command} apply --server-side --force-conflicts {files}"
