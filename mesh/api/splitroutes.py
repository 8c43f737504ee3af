"""What a TrafficSplit says besides weights: routes by header or cookie, a mirror, session affinity."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from crds.base import Resource, ServiceName
from crds.schema import Rule, rules
from mesh.api.wire import PositiveTime

__all__ = [
    "AFFINITY_COOKIE",
    "CookieName",
    "Mirror",
    "RequestMatch",
    "SessionAffinity",
    "SplitRoute",
    "TextMatch",
]

AFFINITY_COOKIE: Final = "coalmine-affinity"
_DAY: Final = 24 * 3600.0
_LONGEST: Final = 1024
_ONE = "exact, prefix and regex exclude each other: keep one"
_SOMETHING = "says nothing to compare: write headers, cookies or both"

_NAME: Final = r"^[0-9A-Za-z!#$%&'*+.^_`|~-]{1,256}$"
_NO_NAME = "is no name of a header or a cookie: write letters, digits and -"

CookieName = Annotated[str, Field(min_length=1, max_length=256, pattern=_NAME)]
"""The name of a cookie."""


def _named(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{name!r} {_NO_NAME}")
    return name


_Named = Annotated[str, AfterValidator(_named)]
_NAMES: Final = rules(Rule(rule=f"self.all(name, name.matches({_NAME!r}))", message=f"a key {_NO_NAME}"))


class TextMatch(Resource):
    """How a text is compared; ``{}`` only asks that the header or the cookie is there. As in a VirtualService."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="[has(self.exact), has(self.prefix), has(self.regex)].filter(x, x).size() <= 1",
                message=_ONE,
            )
        )
    )

    exact: Annotated[str | None, Field(max_length=_LONGEST)] = None
    prefix: Annotated[str | None, Field(min_length=1, max_length=_LONGEST)] = None
    regex: Annotated[str | None, Field(min_length=1, max_length=_LONGEST, description="RE2, on the whole text.")] = None

    @model_validator(mode="after")
    def _one_at_most(self) -> TextMatch:
        if sum(v is not None for v in (self.exact, self.prefix, self.regex)) > 1:
            raise ValueError(_ONE)
        return self


class RequestMatch(Resource):
    """Which requests are meant: all that is said of their headers and cookies must hold."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="(has(self.headers) && size(self.headers) > 0) || (has(self.cookies) && size(self.cookies) > 0)",
                message=_SOMETHING,
            )
        )
    )

    headers: Annotated[
        dict[_Named, TextMatch],
        Field(max_length=8, description="By name; {} means that the header is there.", json_schema_extra=_NAMES),
    ] = Field(default_factory=dict)
    cookies: Annotated[
        dict[_Named, TextMatch],
        Field(
            max_length=8,
            description="Of the Cookie header, by name; {} means that the cookie is there.",
            json_schema_extra=_NAMES,
        ),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> RequestMatch:
        if not self.headers and not self.cookies:
            raise ValueError(_SOMETHING)
        return self


class SplitRoute(Resource):
    """Requests that go to one Service, whatever the weights say. The first route with a match is used."""

    name: Annotated[str, Field(max_length=63, description="For people.")] = ""
    match: Annotated[
        tuple[RequestMatch, ...],
        Field(
            min_length=1,
            max_length=8,
            description="Any of them.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    service: Annotated[ServiceName, Field(description="A Service in the split's namespace.")]


class Mirror(Resource):
    """Copies of requests, whose answers nobody waits for.

    Only requests that are shared by weight are copied, not those that a route takes. The Service has no weight of its
    own meanwhile: it would get some requests twice.
    """

    service: Annotated[ServiceName, Field(description="A Service in the split's namespace; its weight is 0.")]
    percent: Annotated[int, Field(ge=1, le=100, description="Of the requests that are shared by weight.")] = 100
    match: Annotated[
        tuple[RequestMatch, ...],
        Field(
            max_length=8,
            description="Which requests are copied: any of these; all without it.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


class SessionAffinity(Resource):
    """A caller stays on its side, and moves only when a weight moves past it.

    The side is a function of the cookie and the weights: a canary that grows from 10 to 50 percent keeps its callers and
    gets others, and at weight 0 it has none.
    """

    cookie: Annotated[CookieName, Field(description="A caller without it is given one.")] = AFFINITY_COOKIE
    max_age: Annotated[PositiveTime, Field(description="How long the caller keeps the cookie.")] = _DAY
