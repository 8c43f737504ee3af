"""Which cluster and which namespace a command means: kubectl's own options, and kubectl's own defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Target", "present_namespace"]

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Target:
    """Where to look.

    Attributes:
        namespace: The namespace; None for kubectl's present one.
        everywhere: All namespaces.
        context: The kubeconfig's context; None for the present one.
        kubeconfig: The file; None for kubectl's own rules.
        user: Whom to act as; None for oneself.
        groups: Of which groups, then.
    """

    namespace: str | None = None
    everywhere: bool = False
    context: str | None = None
    kubeconfig: str | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        """The options of kubectl that say the same, apart from the namespace."""
        found = []
        for option, value in (("kubeconfig", self.kubeconfig), ("context", self.context), ("as", self.user)):
            if value:
                found.append(f"--{option}={value}")
        return [*found, *(f"--as-group={group}" for group in self.groups)]

    @property
    def place(self) -> str:
        """The namespace that is meant."""
        return self.namespace or present_namespace(self.kubeconfig, self.context, os.environ)


def present_namespace(kubeconfig: str | None, context: str | None, environment: Mapping[str, str]) -> str:
    """Return the namespace of the present context, as kubectl finds it.

    Asking kubectl itself would be a second program to wait for.

    Args:
        kubeconfig: The file that was named; None for ``$KUBECONFIG`` or ``~/.kube/config``.
        context: The context that was named; None for the files' own.
        environment: The process's.

    Raises:
        click.ClickException: The context is in none of the files, or one of them is no YAML.
    """
    files = _files(kubeconfig, environment)
    if not files and _POD_NAMESPACE.is_file():
        return _POD_NAMESPACE.read_text().strip()
    configs = [_read(file) for file in files]
    wanted = context or next((str(c["current-context"]) for c in configs if c.get("current-context")), "")
    for entry in (entry for config in configs for entry in config.get("contexts") or ()):
        if entry.get("name") == wanted:
            return (entry.get("context") or {}).get("namespace") or "default"
    if context:
        raise click.ClickException(_no_context(context, configs))
    return "default"


def _files(kubeconfig: str | None, environment: Mapping[str, str]) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    listed = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not listed:
        listed = [Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"]
    return [file for file in listed if file.is_file()]


def _read(file: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only who names no namespace waits for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(file.read_text(), Loader=loader)  # noqa: S506 - both are the safe ones
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}: name another with --kubeconfig") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{file} is no kubeconfig: {error}") from None
    return found if isinstance(found, dict) else {}


def _no_context(context: str, configs: Sequence[Mapping[str, Any]]) -> str:
    known = sorted(str(e.get("name")) for c in configs for e in c.get("contexts") or ())
    return f"there is no context {context!r}; known: {', '.join(known) or 'none'} (kubectl config get-contexts)"
