"""``coalmine undo``: put an earlier version's pod template back into the Deployment, as ``kubectl rollout undo`` does.

kubectl refuses while the Deployment is paused, which it is during a release and after a rollback; this does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.people.api import JSON_PATCH, connect, path_of
from coalmine.people.endings import Goal
from coalmine.people.errors import get_rollout, told
from coalmine.people.options import one_rollout, targeted, watch_options
from rollouts.core.templates import plain
from rollouts.views.release import release_of
from rollouts.views.words import images_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coalmine.people.api import Api
    from coalmine.people.target import Target

__all__ = ["Kept", "choose", "kept_revisions", "undo"]

Obj = dict[str, Any]
_REVISION: Final = "deployment.kubernetes.io/revision"


class Kept:
    """A revision that the Deployment keeps in a ReplicaSet."""

    def __init__(self, replica_set: Obj) -> None:
        self.number = int((replica_set["metadata"].get("annotations") or {}).get(_REVISION) or 0)
        self.template: Obj = plain(replica_set["spec"]["template"])
        containers = (self.template.get("spec") or {}).get("containers") or ()
        self.version = images_words(c["image"] for c in containers if c.get("image"))


@click.command(
    epilog="""\b
Examples:
  coalmine undo payment                  during a release or after a rollback: the stable version
                                         otherwise: the version before the present one
  coalmine undo payment --to-revision 4
  coalmine undo payment --dry-run        say what it would be
\b
Git does not change: revert the commit there as well, or the next apply brings the version back.
"""
)
@one_rollout
@click.option("--to-revision", type=click.IntRange(min=0), default=0, help="Which kept revision; 0: the one before.")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@watch_options
@targeted
def undo(target: Target, name: str, to_revision: int, timeout: str, *, dry_run: bool, watch: bool) -> None:
    """Go back to an earlier version, as `kubectl rollout undo` does.

    Back to the stable version ends a release at once. Back to an older one is a release like any other, without steps
    where spec.rollbackWindow allows it.
    """
    from coalmine.people.following import follow, seconds_or_never  # noqa: PLC0415 - a look needs none of it

    seconds = seconds_or_never(timeout)
    with connect(target) as api:
        rollout = get_rollout(api, target, name)
        workload = release_of(rollout).workload
        with told(target, "get", "deployments.apps"):
            deployment = api.get(path_of("deployments", target.place, workload))
        with told(target, "list", "replicasets.apps"):
            sets = api.get(path_of("replicasets", target.place), labelSelector=_selector(deployment))["items"]
        wanted = choose(kept_revisions(deployment, sets), deployment, to_revision)
        words = f"revision {wanted.number} ({wanted.version})"
        if dry_run:
            click.echo(f"deployment.apps/{workload} would go back to {words} (dry run)")
            return
        _put_back(api, target, deployment, wanted)
        click.echo(f"deployment.apps/{workload} asks for {words} again. Git does not: revert the commit there, too")
        if watch:
            at_rest = release_of(rollout).phase != "Healthy"
            follow(api, target, rollout, seconds=seconds, goal=Goal.AT_REST if at_rest else Goal.PROMOTED)


def kept_revisions(deployment: Obj, sets: Sequence[Obj]) -> list[Kept]:
    """Return a Deployment's kept revisions, the newest first."""
    uid = deployment["metadata"]["uid"]
    owned = [s for s in sets if any(r.get("uid") == uid for r in s["metadata"].get("ownerReferences") or ())]
    return sorted((Kept(s) for s in owned), key=lambda k: -k.number)


def choose(kept: Sequence[Kept], deployment: Obj, number: int) -> Kept:
    """Return the revision to go back to.

    Args:
        kept: The newest first.
        deployment: As it is now.
        number: Which; 0 for the newest that the Deployment does not ask for now.

    Raises:
        click.ClickException: There is none, or it is the present one.
    """
    present = plain(deployment["spec"]["template"])
    name = deployment["metadata"]["name"]
    if number:
        found = next((k for k in kept if k.number == number), None)
        if found is None:
            numbers = ", ".join(str(k.number) for k in kept) or "none"
            raise click.ClickException(
                f"Deployment {name} keeps no revision {number}: --to-revision takes one of {numbers}"
            )
    else:
        found = next((k for k in kept if k.template != present), None)
        if found is None:
            limit = deployment["spec"].get("revisionHistoryLimit", 10)
            raise click.ClickException(
                f"Deployment {name} keeps no earlier revision (spec.revisionHistoryLimit is {limit}): revert the commit in git"
            )
    if found.template == present:
        raise click.ClickException(f"Deployment {name} asks for revision {found.number} already")
    return found


def _selector(deployment: Obj) -> str:
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _put_back(api: Api, target: Target, deployment: Obj, wanted: Kept) -> None:
    """Write the template; refused where the Deployment has changed since it was seen."""
    path = path_of("deployments", target.place, deployment["metadata"]["name"])
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": deployment["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/template", "value": wanted.template},
    ]
    with told(target, "patch", "deployments.apps"):
        api.patch(path, patch, JSON_PATCH)
