"""Names from the cluster for <TAB>: asked of the user's own kubectl, in a moment or not at all.

Give them to click: ``@click.argument("rollout", shell_complete=rollouts)``. Only what a shell needs is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from click import Context, Parameter

__all__ = ["contexts", "deployments", "namespaces", "rollouts"]

_SECONDS: Final = 3
"""A shell that waits longer than this is worse than one that knows no names."""
_PASSED_ON: Final = ("kubeconfig", "context", "namespace")


def rollouts(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the Rollouts of the namespace, each with its status."""
    return _objects(context, "rollouts.coalmine.dev", incomplete)


def deployments(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the Deployments of the namespace."""
    return [CompletionItem(item.value) for item in _objects(context, "deployments.apps", incomplete)]


def namespaces(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the namespaces."""
    return [CompletionItem(item.value) for item in _objects(context, "namespaces", incomplete)]


def contexts(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the kubeconfig's contexts."""
    lines = _kubectl(context, "config", "get-contexts", "--output=name")
    return [CompletionItem(line) for line in lines if line.startswith(incomplete)]


def _objects(context: Context, resource: str, incomplete: str) -> list[CompletionItem]:
    """Return the first columns of ``kubectl get``: the server makes the table, so that 500 objects are a short answer."""
    rows = [
        line.split() for line in _kubectl(context, "get", resource, "--no-headers", f"--request-timeout={_SECONDS}s")
    ]
    return [CompletionItem(row[0], help=" ".join(row[1:3])) for row in rows if row and row[0].startswith(incomplete)]


def _kubectl(context: Context, *args: str) -> list[str]:
    """Return what kubectl prints; nothing where it fails or takes too long, since nobody reads errors in a prompt."""
    import subprocess  # noqa: PLC0415 - a shell that completes an option waits for no more than that

    command = ["kubectl", *args, *_flags(context, args)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _flags(context: Context, args: tuple[str, ...]) -> list[str]:
    """Return the options that say where to look, as far as they are written already."""
    found = []
    for name in _PASSED_ON:
        value = next((c.params[name] for c in _line(context) if c.params.get(name)), None)
        if value and not (name == "namespace" and "namespaces" in args):
            found.append(f"--{name}={value}")
    return found


def _line(context: Context) -> list[Context]:
    found, parent = [context], context.parent
    while parent is not None:
        found.append(parent)
        parent = parent.parent
    return found
