"""What the API server refuses, as sentences that say what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.people.api import ApiError, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalmine.people.api import Api
    from coalmine.people.target import Target

__all__ = ["get_rollout", "list_rollouts", "list_rows", "said", "told"]

_FORBIDDEN: Final = 403
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_NOT_INSTALLED: Final = (
    "this cluster has no Rollouts (coalmine.dev/v1alpha1): install Coalmine's definitions with "
    "`coalmine crds install`, or choose another cluster with --context"
)


@contextmanager
def told(target: Target, verb: str, resource: str) -> Iterator[None]:
    """Turn what the API server refuses into what people can do about it.

    Args:
        target: Where.
        verb: What was tried: get, list, watch, patch.
        resource: On what, e.g. ``rollouts.coalmine.dev``.
    """
    try:
        yield
    except ApiError as error:
        raise click.ClickException(said(error, target, verb, resource)) from None


def said(error: ApiError, target: Target, verb: str, resource: str) -> str:
    """Return a refusal in words, with the fix."""
    if error.status == _UNAUTHORIZED:
        return "the cluster does not know you (401 Unauthorized): log in again, then `kubectl auth whoami`"
    if error.status == _FORBIDDEN:
        place = "-A" if target.everywhere else f"-n {target.place}"
        narrow = "; or name a namespace with -n" if target.everywhere else ""
        return f"{error}. You need the verb {verb} on {resource} (kubectl auth can-i {verb} {resource} {place}){narrow}"
    if error.status == _NOT_FOUND and not error.name:
        return _NOT_INSTALLED if "coalmine.dev" in resource else f"this cluster does not serve {resource}"
    return str(error)


def list_rollouts(api: Api, target: Target) -> list[dict[str, Any]]:
    """Return all Rollouts of the namespace, or of the cluster: one request."""
    with told(target, "list", "rollouts.coalmine.dev"):
        found: list[dict[str, Any]] = api.get(_every(target))["items"]
        return found


def list_rows(api: Api, target: Target) -> list[dict[str, Any]]:
    """Return of all Rollouts what the definition's columns say, without asking for the objects: one request.

    Returns:
        Each as a Rollout without its spec and with as much of its status as ``coalmine.people.rows`` says.
    """
    from coalmine.people.rows import rollouts_of  # noqa: PLC0415 - imported while kubectl starts

    with told(target, "list", "rollouts.coalmine.dev"):
        return rollouts_of(api.table(_every(target)))


def _every(target: Target) -> str:
    return path_of("rollouts", None if target.everywhere else target.place)


def get_rollout(api: Api, target: Target, name: str) -> dict[str, Any]:
    """Return one Rollout.

    Raises:
        click.ClickException: There is none: names those that are near, here and in other namespaces.
    """
    kind, _, bare = name.rpartition("/")
    if kind and kind.split(".")[0] not in {"rollout", "rollouts", "cro"}:
        raise click.ClickException(f"{name!r} is no Rollout: write its name, or rollout/{bare}")
    try:
        return api.get(path_of("rollouts", target.place, bare))
    except ApiError as error:
        if error.status == _NOT_FOUND and error.name:
            raise click.ClickException(_no_such(api, target, bare)) from None
        raise click.ClickException(said(error, target, "get", "rollouts.coalmine.dev")) from None


def _no_such(api: Api, target: Target, name: str) -> str:
    import difflib  # noqa: PLC0415 - only who mistypes waits for it

    begun = f"there is no Rollout {name!r} in namespace {target.place}"
    try:
        every = api.get(path_of("rollouts", None))["items"]
    except ApiError:
        try:
            every = api.get(path_of("rollouts", target.place))["items"]
        except ApiError:
            return begun
    here = [r["metadata"]["name"] for r in every if r["metadata"]["namespace"] == target.place]
    there = sorted(r["metadata"]["namespace"] for r in every if r["metadata"]["name"] == name)
    if there:
        return f"{begun}; there is one in {', '.join(there)}: -n {there[0]}"
    near = difflib.get_close_matches(name, here, n=3, cutoff=0.5)
    if near:
        return f"{begun}; did you mean {' or '.join(near)}?"
    if here:
        return f"{begun}; there are: {', '.join(sorted(here)[:10])}{', …' if len(here) > 10 else ''}"  # noqa: PLR2004
    return f"{begun}, nor any other (coalmine get -A shows all; coalmine init writes one for a Deployment)"
