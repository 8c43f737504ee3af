"""The commands' one door to the API server: ``kubectl proxy`` on a private socket, as the user whom kubectl knows.

kubectl brings every way of logging in that its users have (plugins, tokens, certificates, clouds), and starts faster than
Python can import a Kubernetes client. Its proxy serves as many requests and watches as a command needs; it listens on a
Unix socket in a folder that only this user may enter, and ends with the command.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coalmine.people.sockets import HTTPResponse
    from coalmine.people.target import Target

__all__ = ["Api", "ApiError", "UnreachableError", "connect", "path_of"]

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
FIELD_MANAGER: Final = "coalmine-cli"
_JSON: Final = "application/json"
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PATIENCE: Final = 30.0
_STARTED: Final = "Starting to serve on"
_ERRORS_FROM: Final = 400
_NOT_FOUND: Final = 404
_GZIP: Final = 16 + zlib.MAX_WBITS
_TERMINATED: Final = 143
_PR_SET_PDEATHSIG: Final = 1
_WHERE: Final = "https://kubernetes.io/docs/tasks/tools/"
_ROOTS: Final = {
    "rollouts": "/apis/coalmine.dev/v1alpha1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "pods": "/api/v1",
    "events": "/apis/events.k8s.io/v1",
}


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        status: HTTP status.
        reason: Its reason, e.g. ``Forbidden``; empty where the path itself is not served.
        name: The object that it is about; empty for a list.
    """

    def __init__(self, status: int, reason: str, message: str, name: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.name = name


class UnreachableError(click.ClickException):
    """There is no answer from an API server."""


def path_of(plural: str, namespace: str | None, name: str = "") -> str:
    """Return the path of an object or a collection; of all namespaces without one."""
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{_ROOTS[plural]}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")


class Api:
    """The API server. May be used by several threads: each request has a connection of its own."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return what is at a path.

        Raises:
            ApiError: The API server refuses.
            UnreachableError: It does not answer.
        """
        return self._call("GET", path, query)

    def table(self, path: str) -> dict[str, Any]:
        """Return a collection as the server prints it for kubectl (``meta.k8s.io/v1 Table``): its columns, not the objects."""
        return self._call("GET", path, {}, accept=_TABLE)

    def patch(self, path: str, body: object, content_type: str = MERGE) -> dict[str, Any]:
        """Change an object, and return it."""
        return self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, body=body, content_type=content_type)

    def watch(self, path: str, version: str, **query: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what happens to a collection until the server ends it: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR.

        Args:
            path: The collection's.
            version: The resourceVersion after which to begin.
            query: Selectors.
        """
        wanted = {**query, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        with self._answer("GET", path, wanted, timeout=None) as answer:
            while line := answer.readline():
                event = json.loads(line)
                yield event["type"], event["object"]

    def _call(self, method: str, path: str, query: Mapping[str, str], **sent: Any) -> dict[str, Any]:
        with self._answer(method, path, query, **sent) as answer:
            found: dict[str, Any] = json.loads(_content(answer))
            return found

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: object = None,
        content_type: str = MERGE,
        accept: str = _JSON,
        timeout: float | None = _PATIENCE,
    ) -> Iterator[HTTPResponse]:
        from coalmine.people.sockets import HTTPException, UnixConnection  # noqa: PLC0415 - while kubectl starts

        connection = UnixConnection(self._file, timeout)
        sent = None if body is None else json.dumps(body)
        # Lists shrink to some 4 %; a watch's lines would wait for gzip's blocks.
        coding = "identity" if timeout is None else "gzip"
        headers = {"Accept": accept, "Accept-Encoding": coding, "Content-Type": content_type}
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, sent, headers)
            answer = connection.getresponse()
            if answer.status >= _ERRORS_FROM:
                raise _refusal(answer.status, _content(answer).decode(errors="replace"))
            yield answer
        except (OSError, HTTPException, ValueError, zlib.error) as error:
            raise UnreachableError(f"no answer from the API server: {error or type(error).__name__}") from None
        finally:
            connection.close()


def _content(answer: HTTPResponse) -> bytes:
    body = answer.read()
    return zlib.decompress(body, _GZIP) if answer.headers.get("Content-Encoding") == "gzip" else body


def _refusal(status: int, text: str) -> Exception:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        name = (body.get("details") or {}).get("name") or ""
        return ApiError(status, body.get("reason") or "", body.get("message") or text, name)
    if status == _NOT_FOUND:
        return ApiError(status, "", text.strip())
    return UnreachableError(f"kubectl does not reach the API server: {text.strip()}")


@contextmanager
def connect(target: Target, meanwhile: Callable[[], object] = lambda: None) -> Iterator[Api]:
    """Begin a connection, and end it.

    Args:
        target: Which cluster.
        meanwhile: Called while kubectl starts: imports what comes next.

    Raises:
        UnreachableError: There is no kubectl, or it does not know the cluster.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise UnreachableError(f"coalmine reaches the cluster through kubectl, which is not on PATH: {_WHERE}")
    folder = Path(os.environ.get("TMPDIR") or "/tmp", f"coalmine-{os.urandom(8).hex()}")  # noqa: S108 - made next, for this user alone
    folder.mkdir(mode=0o700)
    file = folder / "api"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    command = [kubectl, *target.flags, "proxy", f"--unix-socket={file}", "--append-server-path"]
    try:
        with (
            (folder / "log").open("w+") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=_with_us) as process,  # noqa: PLW1509 - no thread has been started
        ):
            try:
                import coalmine.people.sockets  # noqa: F401, PLC0415 - kubectl starts meanwhile

                meanwhile()
                first = process.stdout.readline() if process.stdout else ""
                if not first.startswith(_STARTED):
                    process.wait()
                    log.seek(0)
                    raise UnreachableError(log.read().strip().removeprefix("error: ") or "kubectl proxy does not start")
                yield Api(file)
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_us() -> None:  # pragma: no cover - runs in the child
    """Let kubectl end when this process does, even by kill -9 (Linux), and leave Ctrl-C to us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
