"""What a route does with its requests beyond choosing where they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mesh.ir.matching import StringMatch

__all__ = ["UNCHANGED", "Answer", "Cors", "Fault", "HeaderChanges", "HeaderOperations", "Redirect", "Rewrite"]

_Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """Changes of headers; names in lower case."""

    set: _Values = ()
    add: _Values = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Changes of the headers of a request and of its response."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()
    authority: str = ""
    """What the request's Host becomes; empty leaves it."""


UNCHANGED: Final = HeaderChanges()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """How the path changes; one of the two is empty.

    Attributes:
        path: In place of the prefix that matched, or of the whole path.
        pattern: RE2 on the path without its query.
        replacement: For what the pattern matches; may refer to its groups.
    """

    path: str = ""
    pattern: str = ""
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the caller elsewhere; what is empty or None stays as in the request."""

    path: str = ""
    authority: str = ""
    port: int | None = None
    scheme: str = ""
    status: int = 301


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the author of a rule wrote down."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults put in on purpose.

    Attributes:
        delay: Seconds; 0 delays none.
        delayed: Percent of the requests that are delayed.
        http_status: Status of aborted requests; None where they are aborted with a gRPC status.
        grpc_status: gRPC status of aborted requests.
        aborted: Percent of the requests that are aborted.
    """

    delay: float = 0.0
    delayed: float = 0.0
    http_status: int | None = None
    grpc_status: int | None = None
    aborted: float = 0.0


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may call.

    Attributes:
        origins: How the Origin header is compared.
        methods: Allowed methods.
        headers: Allowed request headers.
        exposed: Response headers that pages may read.
        max_age: Seconds that a browser may keep the answer; None leaves it to the browser.
        credentials: Whether pages may send credentials; None says nothing.
        forward_unmatched: Whether preflights from other origins go on to the application.
    """

    origins: tuple[StringMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: float | None = None
    credentials: bool | None = None
    forward_unmatched: bool = True
