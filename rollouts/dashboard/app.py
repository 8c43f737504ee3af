"""The dashboard's application: what is asked for where. docs/dashboard-api.md is the contract."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web

from rollouts.dashboard.acting import read_comment
from rollouts.dashboard.errors import ApiError
from rollouts.dashboard.feeds import encode
from rollouts.dashboard.guards import guard
from rollouts.dashboard.live import BusyError
from rollouts.dashboard.people import NoTokenError
from rollouts.dashboard.rollouts import history_of
from rollouts.dashboard.stream import Stream
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from rollouts.api.dashboard import Dashboard
    from rollouts.dashboard.acting import Actions
    from rollouts.dashboard.board import Board
    from rollouts.dashboard.live import Live
    from rollouts.dashboard.pages import Pages
    from rollouts.dashboard.people import People, Person
    from rollouts.dashboard.polls import Poll

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["make_app"]

_T = TypeVar("_T")

_API: Final = "/api/v1"
_MOST_HISTORY: Final = 1000
_FIRST_WINDOWS: Final = 1.0
_MOST_BODY: Final = 16 * 1024
_BEARER: Final = "bearer "


def make_app(
    config: Dashboard,
    *,
    board: Board,
    live: Live,
    polls: Mapping[str, Poll],
    people: People,
    actions: Actions,
    pages: Pages,
    clock: Callable[[], float],
    instance: str,
    leads: Callable[[], bool],
    namespaces: Sequence[str] = (),
) -> web.Application:
    """Return the application.

    Args:
        config: Who may look, and so on.
        board: Knows the Rollouts.
        live: Keeps views up to date.
        polls: What the mesh is asked.
        people: Knows who shows a token.
        actions: Gives commands in people's names.
        pages: The files.
        clock: Unix seconds.
        instance: This process's name.
        leads: Whether this replica decides.
        namespaces: Those that the controller watches; none: all.
    """
    app = web.Application(middlewares=[guard(config.hosts, tls=config.tls is not None)], client_max_size=_MOST_BODY)
    api = _Api(
        config,
        board=board,
        live=live,
        polls=polls,
        people=people,
        actions=actions,
        clock=clock,
        namespaces=namespaces,
    )
    about = {
        "version": _version(),
        "instance": instance,
        "anonymous": config.anonymous,
        "actions": config.actions,
        "mesh": bool(polls),
        "namespaces": list(namespaces),
        "links": dict(config.links),
    }

    async def info(_: web.Request) -> web.Response:
        return web.json_response({"at": clock(), **about, "leads": leads()})

    stream = Stream(live, frozenset({"rollouts", *polls}))
    # Whether a token is needed to look is told without one; the page could not ask for it otherwise.
    app.router.add_get(f"{_API}/info", info)
    app.router.add_get(f"{_API}/rollouts", api.reading(api.rollouts))
    app.router.add_get(f"{_API}/rollouts/{{namespace}}/{{name}}", api.reading(api.rollout))
    app.router.add_get(f"{_API}/history", api.reading(api.history))
    app.router.add_get(f"{_API}/graph", api.reading(api.poll))
    app.router.add_get(f"{_API}/mesh", api.reading(api.poll))
    app.router.add_get(f"{_API}/stream", api.reading(stream.serve))
    app.router.add_get(f"{_API}/whoami", api.whoami)
    app.router.add_post(f"{_API}/rollouts/{{namespace}}/{{name}}/actions/{{action}}", api.act)
    app.router.add_route("*", "/api/{rest:.*}", _nowhere)
    app.router.add_get("/{path:.*}", pages.serve)
    app.on_shutdown.append(stream.end)
    app.cleanup_ctx.append(_running(live))
    return app


def _running(live: Live) -> Callable[[web.Application], AsyncIterator[None]]:
    async def running(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(live.run(), name="dashboard")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return running


class _Api:
    def __init__(
        self,
        config: Dashboard,
        *,
        board: Board,
        live: Live,
        polls: Mapping[str, Poll],
        people: People,
        actions: Actions,
        clock: Callable[[], float],
        namespaces: Sequence[str],
    ) -> None:
        self._namespaces = namespaces or ("",)
        self._config, self._board, self._live, self._polls = config, board, live, polls
        self._people, self._actions, self._clock = people, actions, clock

    def reading(self, handler: Handler) -> Handler:
        """Return a handler that asks for a token first, where the configuration wants one."""
        if self._config.anonymous:
            return handler

        async def checked(request: web.Request) -> web.StreamResponse:
            person = await self._person(request)
            for namespace in self._namespaces:
                answer = await self._asked(self._people.may(person, "list", namespace))
                if not answer.allowed:
                    fix = f"bind {person.name} to a ClusterRole with list on rollouts, e.g. coalmine-rollouts-view"
                    raise ApiError(403, answer.reason, fix)
            return await handler(request)

        return checked

    async def rollouts(self, request: web.Request) -> web.Response:
        await self._live.refresh_rows()
        rows = self._live.rows
        return _tagged(request, rows.listing(), f"{id(rows):x}-{rows.version}")

    async def rollout(self, request: web.Request) -> web.Response:
        key = request.match_info["namespace"], request.match_info["name"]
        if key not in self._board.rollouts:
            raise ApiError(404, f"there is no Rollout {key[1]} in namespace {key[0]}")
        try:
            with self._live.release(key) as feed:
                await feed.first_windows(_FIRST_WINDOWS)
                return _tagged(request, encode(feed.view()))
        except BusyError as error:
            raise ApiError(503, str(error), "try again later") from None

    async def history(self, request: web.Request) -> web.Response:
        wanted = {name: request.query[name] for name in ("namespace", "name") if request.query.get(name)}
        try:
            limit = min(max(int(request.query.get("limit", "200")), 1), _MOST_HISTORY)
        except ValueError:
            raise ApiError(400, f"limit={request.query['limit']} is no number", "write e.g. limit=200") from None
        keys = dict(zip(("namespace", "name"), range(2), strict=True))
        entries: list[dict[str, Any]] = []
        for number, (key, rollout) in enumerate(tuple(self._board.rollouts.items())):
            if all(key[keys[field]] == value for field, value in wanted.items()):
                entries += history_of(rollout)
            if number % 50 == 0:
                await asyncio.sleep(0)  # decisions have their turn
        entries.sort(key=lambda entry: -(entry["endedAt"] or 0.0))
        return _tagged(request, encode({"at": self._clock(), "entries": entries[:limit]}), encode(entries[:limit]))

    async def poll(self, request: web.Request) -> web.Response:
        poll = self._polls.get(request.path.rpartition("/")[2])
        if poll is None:
            raise ApiError(404, "this controller has no mesh to ask")
        async with poll.looking() as feed:
            return _tagged(request, encode(feed.value), f"{id(feed):x}-{feed.version}")

    async def whoami(self, request: web.Request) -> web.Response:
        person = await self._person(request)
        namespace, name = request.query.get("namespace", ""), request.query.get("name", "")
        verbs = ("patch", "approve")
        answers = await self._asked(asyncio.gather(*(self._people.may(person, v, namespace, name) for v in verbs)))
        return web.json_response(
            {
                "user": person.name,
                "groups": list(person.groups),
                "may": {verb: answer.allowed for verb, answer in zip(verbs, answers, strict=True)},
                "reason": {verb: answer.reason for verb, answer in zip(verbs, answers, strict=True)},
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        if not self._config.actions:
            raise ApiError(
                403, "this dashboard only shows", "dashboard.actions is false in the controller's configuration"
            )
        comment = read_comment(await request.read(), request.content_type)
        key = request.match_info["namespace"], request.match_info["name"]
        return web.json_response(await self._actions.give(key, request.match_info["action"], _token(request), comment))

    async def _person(self, request: web.Request) -> Person:
        return await self._asked(self._people.person(_token(request)))

    async def _asked(self, asking: Awaitable[_T]) -> _T:
        try:
            return await asking
        except NoTokenError as error:
            raise ApiError(401, str(error), "paste a token: kubectl create token SERVICEACCOUNT -n NAMESPACE") from None
        except (KubeError, OSError, TimeoutError) as error:
            raise ApiError(
                503, f"the API server cannot be asked: {error or type(error).__name__}", "try again"
            ) from None


async def _nowhere(request: web.Request) -> web.StreamResponse:
    raise ApiError(404, f"there is no {request.method} {request.path}", "docs/dashboard-api.md has what there is")


def _token(request: web.Request) -> str:
    header = request.headers.get("Authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""


def _tagged(request: web.Request, body: bytes, of: str | bytes = b"") -> web.Response:
    """Return JSON with an ETag, compressed where that is worth it.

    Args:
        request: May have the ETag already.
        body: The JSON.
        of: What the ETag is of, where the body's time alone should not change it.
    """
    tag = hashlib.sha256(of.encode() if isinstance(of, str) else of or body).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    answer = web.Response(body=body, content_type="application/json", headers=headers)
    answer.enable_compression()
    return answer


def _version() -> str:
    try:
        return version("coalmine")
    except PackageNotFoundError:
        return ""
