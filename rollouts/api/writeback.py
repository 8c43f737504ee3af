"""What goes back into git when a release is taken back. Off by default."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from crds.base import Resource, ResourceName

__all__ = ["COMMIT_ANNOTATION", "GitAuthor", "GitSecret", "GitWriteBack", "WriteBackMode"]

COMMIT_ANNOTATION: Final = "coalmine.dev/git-commit"
"""On the Deployment, in git's own manifests or by the applier: the commit that brought its template."""

_URL: Final = r"^(https://[^@/\s]+/\S+|ssh://[^\s-]\S*|[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^\s]+)$"
_BRANCH: Final = r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$"
_PATH: Final = r"^([A-Za-z0-9_]|\.[A-Za-z0-9_])[^\s:*?]*$"


class WriteBackMode(StrEnum):
    """Where the revert goes."""

    BRANCH = "Branch"
    PUSH = "Push"


class GitSecret(Resource):
    """A Secret of this namespace."""

    name: Annotated[
        ResourceName,
        Field(
            description="Its name. Keys, as Flux has them: username and password (HTTPS), ca.crt (HTTPS, optional),"
            " identity and known_hosts (SSH)."
        ),
    ]


class GitAuthor(Resource):
    """Who the revert is by."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^<>\n]+$")] = "Coalmine"
    email: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^<>\s]+@[^<>\s]+$")] = "noreply@coalmine.dev"


class GitWriteBack(Resource):
    """Revert the commit of a release that was taken back."""

    url: Annotated[
        str,
        Field(
            max_length=1024,
            pattern=_URL,
            description="The repository, without credentials: https://…, ssh://git@…, or git@host:path.",
        ),
    ]
    branch: Annotated[
        str, Field(max_length=244, pattern=_BRANCH, description="The branch that the release came from.")
    ] = "main"
    path: Annotated[
        str | None,
        Field(
            max_length=1024,
            pattern=_PATH,
            description="The folder or file in the repository that holds this workload; without it, the commit is found"
            " by the release's images alone.",
        ),
    ] = None
    secret_ref: Annotated[GitSecret, Field(description="What the controller shows to the git server.")]
    mode: Annotated[
        WriteBackMode,
        Field(
            description="Branch: to a branch of its own, coalmine/revert-REVISION, for a pull request."
            " Push: to the branch itself."
        ),
    ] = WriteBackMode.BRANCH
    author: Annotated[GitAuthor, Field(description="Who the revert is by.")] = GitAuthor()
