"""The pages' files as they were built: compressed once, named by their content where they may be kept for ever."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STATIC", "Pages"]

STATIC: Final = Path(__file__).parent / "static"
_INDEX: Final = "index.html"
_HASHED: Final = "assets/"
"""Below it every file's name holds a hash of its content."""
_LEAST: Final = 1024
_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg", "application/manifest")
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Coalmine</title></head>
<body><h1>The pages are not built</h1>
<p>This controller runs from its sources. Build the pages once with <code>make dashboard</code> (it needs Node.js), then load this page
again. The data is there already: see <a href="/api/v1/rollouts">/api/v1/rollouts</a>.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    zipped: bytes | None
    kind: str
    etag: str
    cache: str


class Pages:
    """Serves the files of a folder, from memory: they are small and few."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Make one that has read nothing yet.

        Args:
            folder: Holds ``index.html`` and ``assets/``.
        """
        self._folder = folder
        self._files: Mapping[str, _File] | None = None

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with a file; with the first page for a path that is a page's own."""
        if self._files is None:
            self._files = await asyncio.to_thread(self._read)
            if _INDEX not in self._files:
                self._files = None  # it may be built any moment
                return web.Response(text=_NOT_BUILT, content_type="text/html", headers={"Cache-Control": "no-store"})
        path = request.path.lstrip("/")
        found = self._files.get(path)
        if found is None and "." not in path.rpartition("/")[2] and not path.startswith((_HASHED, "api/")):
            found = self._files[_INDEX]
        if found is None:
            raise web.HTTPNotFound(text=f"there is no {request.path}")
        return _answer(request, found)

    def _read(self) -> dict[str, _File]:
        if not self._folder.is_dir():
            return {}
        return {
            name: _file(name, path.read_bytes())
            for path in sorted(self._folder.rglob("*"))
            if path.is_file() and not (name := path.relative_to(self._folder).as_posix()).startswith(".")
        }


def _file(name: str, body: bytes) -> _File:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    text = kind.startswith(_TEXT) or kind.endswith(("javascript", "+json"))
    zipped = gzip.compress(body, 9, mtime=0) if text and len(body) >= _LEAST else None
    return _File(
        body=body,
        zipped=zipped if zipped is not None and len(zipped) < len(body) else None,
        kind=kind,
        etag=hashlib.sha256(body).hexdigest()[:32],
        cache="public, max-age=31536000, immutable" if name.startswith(_HASHED) else "no-cache",
    )


def _answer(request: web.Request, file: _File) -> web.Response:
    headers = {"Cache-Control": file.cache, "ETag": f'"{file.etag}"', "Vary": "Accept-Encoding"}
    if any(tag.value in {file.etag, "*"} for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    body = file.body
    if file.zipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = file.zipped
        headers["Content-Encoding"] = "gzip"
    answer = web.Response(body=body, headers=headers, content_type=file.kind)
    if file.kind.startswith("text/") or file.kind.endswith("javascript"):
        answer.charset = "utf-8"
    return answer
