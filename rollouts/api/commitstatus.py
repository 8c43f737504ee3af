"""``commitStatus`` of the controller's configuration: a release's end, at the commit that it came from."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from crds.base import Resource
from rollouts.api.wording import MessageTemplate

__all__ = ["REPOSITORY_ANNOTATION", "CommitStatus", "GitHost", "Repository", "repository_of"]

REPOSITORY_ANNOTATION: Final = "coalmine.dev/repository"
"""On the Deployment or the Rollout: where the commit of ``coalmine.dev/git-commit`` is, as ``git clone`` takes it."""

_SCP: Final = re.compile(r"^[\w.-]+@(?P<host>[\w.-]+):(?P<path>.+)$")


class Repository(NamedTuple):
    """Where a commit is.

    Attributes:
        host: With its port, if any but the usual; lower case.
        path: ``owner/name``, or a group's longer path.
    """

    host: str
    path: str


def repository_of(value: str) -> Repository | None:
    """Return what a repository's address names; None where it names none.

    Args:
        value: ``https://github.com/acme/shop``, ``git@github.com:acme/shop.git``, ``ssh://git@…/acme/shop``.
    """
    value = value.strip()
    if found := _SCP.match(value):
        host, path = found["host"], found["path"]
    else:
        try:
            parts = urlsplit(value)
            web = parts.scheme in {"http", "https"} and parts.port
            host = f"{parts.hostname or ''}{f':{parts.port}' if web else ''}"
            path = parts.path if parts.scheme in {"http", "https", "ssh", "git"} else ""
        except ValueError:
            return None
    path = path.strip("/").removesuffix(".git")
    usable = host and "/" in path and re.fullmatch(r"[\w.~/-]+", path) and ".." not in path
    return Repository(host.lower(), path) if usable else None


def _base(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username:
        msg = "it is no git host's address: write one like https://github.com or https://git.example.com"
        raise ValueError(msg)
    return value.rstrip("/")


class GitHost(Resource):
    """One git host."""

    kind: Literal["GitHub", "GitLab"]
    url: Annotated[
        str,
        StringConstraints(max_length=1024),
        AfterValidator(_base),
        Field(description="As people open it: https://github.com, https://gitlab.com, https://git.example.com."),
    ]
    api_url: Annotated[
        str | None,
        StringConstraints(max_length=1024),
        AfterValidator(lambda v: v if v is None else _base(v)),
        Field(description="Of the REST API, where it is not at the usual place."),
    ] = None
    token_file: Annotated[
        str,
        Field(
            min_length=1,
            description="File with a token. GitHub: commit statuses, write. GitLab: scope api, role Developer.",
        ),
    ]

    @property
    def host(self) -> str:
        """The host as repositories' addresses name it."""
        return urlsplit(self.url).netloc.lower()

    @property
    def api(self) -> str:
        """Where the REST API is."""
        if self.api_url:
            return self.api_url
        if self.kind == "GitLab":
            return f"{self.url}/api/v4"
        return "https://api.github.com" if self.host == "github.com" else f"{self.url}/api/v3"


class CommitStatus(Resource):
    """Pending while a release runs, success or failure at its end, at the commit in coalmine.dev/git-commit."""

    hosts: Annotated[tuple[GitHost, ...], Field(max_length=16)] = ()
    context: Annotated[
        MessageTemplate,
        Field(description="The status's name: one for each Rollout, as several may come from one commit."),
    ] = "coalmine/{{ namespace }}/{{ name }}"
    link: Annotated[
        MessageTemplate | None, Field(description="Where Details leads; notifications.link without it.")
    ] = None
