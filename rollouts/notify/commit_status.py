"""Statuses at the commit that a release came from, at GitHub or GitLab. Setting the same one again changes nothing.

GitHub shows a context's last status only, and before an interrupted one is set again the host is asked for what it has;
GitLab refuses a status that the commit has already, which is as good as having set it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from rollouts.api.wording import rendered
from rollouts.notify.base import RefusedError
from rollouts.notify.commit_states import REASONS, reports_of, target_of
from rollouts.notify.files import read_secret
from rollouts.notify.http import ask
from rollouts.notify.message import cut, values_of
from rollouts.notify.place import JSON, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from rollouts.api.commitstatus import CommitStatus, GitHost
    from rollouts.notify.base import Transition
    from rollouts.notify.commit_states import Report
    from rollouts.notify.http import Reply

__all__ = ["CommitStatusSink"]

_GITHUB: Final = {"pending": "pending", "success": "success", "failure": "failure", "ended": "error"}
_GITLAB: Final = {"pending": "running", "success": "success", "failure": "failed", "ended": "canceled"}
_GITHUB_HEADERS: Final = {**JSON, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_MOST_CONTEXT: Final = 255
_SAME_ALREADY: Final = "Cannot transition status"


class CommitStatusSink:
    """One git host."""

    def __init__(
        self, host: GitHost, settings: CommitStatus, field: str, session: aiohttp.ClientSession, link: str | None
    ) -> None:
        """Make one.

        Args:
            host: Which.
            settings: Names of statuses, and where their links lead.
            field: Where the host is configured, for messages: ``commitStatus.hosts.0``.
            session: For requests.
            link: Template of the address where a release is watched.
        """
        self._host = host
        self._context = settings.context
        self._field = field
        self._session = session
        self._link = settings.link or link

    @property
    def name(self) -> str:
        """Unique among the sinks."""
        return f"commit-status-{self._host.host}".replace(":", "-")

    def wants(self, transition: Transition) -> bool:
        """Return whether it starts or ends a release whose commit is at this host."""
        return transition.reason in REASONS and target_of(transition, self._host.host) is not None

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Set the statuses. See ``Sink``."""
        values = values_of(transition, self._link)
        context = cut(rendered(self._context, values), _MOST_CONTEXT)
        reports, kept = reports_of(transition, memory, self._host.host)
        for report in reports:
            if self._host.kind == "GitHub":
                await self._github(report, context, values["link"], doubtful=doubtful)
            else:
                await self._gitlab(report, context, values["link"])
        return kept

    async def _github(self, report: Report, context: str, link: str, *, doubtful: bool) -> None:
        headers = {**_GITHUB_HEADERS, "Authorization": f"Bearer {self._token()}"}
        root = f"{self._host.api}/repos/{quote(report.repository)}"
        status: dict[str, Any] = {
            "state": _GITHUB[report.state.value],
            "description": report.description,
            "context": context,
        }
        if link:
            status["target_url"] = link
        if doubtful and await self._has(f"{root}/commits/{report.commit}/statuses?per_page=100", headers, status):
            return
        self._taken(
            await ask(self._session, "POST", f"{root}/statuses/{report.commit}", body=as_json(status), headers=headers),
            report,
        )

    async def _has(self, url: str, headers: Mapping[str, str], status: Mapping[str, Any]) -> bool:
        """Return whether the last status of the context is this one already."""
        reply = await ask(self._session, "GET", url, headers=headers)
        try:
            found = json.loads(reply.text) if reply.ok else []
            last: dict[str, Any] = next((s for s in found if s["context"] == status["context"]), {})
        except (ValueError, TypeError, KeyError):
            return False  # more than is read at once, or no GitHub: the last status is what counts anyway
        return all(last.get(key) == status[key] for key in ("state", "description"))

    async def _gitlab(self, report: Report, context: str, link: str) -> None:
        headers = {**JSON, "PRIVATE-TOKEN": self._token()}
        url = f"{self._host.api}/projects/{quote(report.repository, safe='')}/statuses/{report.commit}"
        status = {"state": _GITLAB[report.state.value], "name": context, "description": report.description}
        if link:
            status["target_url"] = link
        reply = await ask(self._session, "POST", url, body=as_json(status), headers=headers)
        if reply.status == HTTPStatus.BAD_REQUEST and _SAME_ALREADY in reply.text:
            return
        self._taken(reply, report)

    def _token(self) -> str:
        return read_secret(self._host.token_file, f"{self._field}.tokenFile")

    def _taken(self, reply: Reply, report: Report) -> None:
        if reply.ok:
            return
        where = f"{report.repository}@{report.commit[:12]}"
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            rights = "commit statuses: write" if self._host.kind == "GitHub" else "scope api, role Developer"
            raise RefusedError(f"{reply.words} for {where}: give the token of {self._field}.tokenFile {rights} there")
        raise RefusedError(
            f"{reply.words} for {where}: correct the annotations coalmine.dev/git-commit and /repository"
        )
