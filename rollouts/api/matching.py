"""Which requests a header route, a mirror or an A/B test is about."""

from __future__ import annotations

from typing import Annotated

import re2
from pydantic import ConfigDict, Field, field_validator, model_validator

from crds.base import Resource
from crds.schema import Rule, rules

__all__ = ["MAX_MATCHES", "RequestMatch", "ValueMatch"]

MAX_MATCHES = 8
_LONGEST_VALUE = 512
_NAME = r"^[-_.A-Za-z0-9]{1,128}$"
_ONE_VALUE = "a value is matched by exactly one of exact, prefix, regex: write one of them"
_ONE_PLACE = "a match names either a header (headerName with headerValue) or a cookie (cookieName with cookieValue): write one entry for each"


class ValueMatch(Resource):
    """How a header's or a cookie's value is compared. Exactly one of the fields is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="[has(self.exact), has(self.prefix), has(self.regex)].exists_one(x, x)", message=_ONE_VALUE)
        )
    )

    exact: Annotated[
        str | None, Field(min_length=1, max_length=_LONGEST_VALUE, description="The value is this one.")
    ] = None
    prefix: Annotated[
        str | None, Field(min_length=1, max_length=_LONGEST_VALUE, description="The value begins with this.")
    ] = None
    regex: Annotated[
        str | None, Field(min_length=1, max_length=_LONGEST_VALUE, description="The whole value matches this (RE2).")
    ] = None

    @field_validator("regex")
    @classmethod
    def _is_re2(cls, value: str | None) -> str | None:
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(value or "", options)
        except re2.error as error:
            said = error.args[0] if error.args else ""
            text = said.decode(errors="replace") if isinstance(said, bytes) else said
            msg = f"RE2, which Envoy uses, refuses {value!r} ({text}): correct it"
            raise ValueError(msg) from None
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> ValueMatch:
        if sum(f is not None for f in (self.exact, self.prefix, self.regex)) != 1:
            raise ValueError(_ONE_VALUE)
        return self


class RequestMatch(Resource):
    """One kind of request: by a header or by a cookie. In a list, a request that one of the entries matches is meant."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="has(self.headerName) == has(self.headerValue) && has(self.cookieName) == has(self.cookieValue)"
                " && has(self.headerName) != has(self.cookieName)",
                message=_ONE_PLACE,
            )
        )
    )

    header_name: Annotated[
        str | None, Field(pattern=_NAME, description="A request header; upper and lower case are the same.")
    ] = None
    header_value: Annotated[ValueMatch | None, Field(description="What its value is.")] = None
    cookie_name: Annotated[str | None, Field(pattern=_NAME, description="A cookie of the request.")] = None
    cookie_value: Annotated[ValueMatch | None, Field(description="What its value is.")] = None

    @model_validator(mode="after")
    def _one_place(self) -> RequestMatch:
        header, cookie = self.header_name is not None, self.cookie_name is not None
        whole = header == (self.header_value is not None) and cookie == (self.cookie_value is not None)
        if not whole or header == cookie:
            raise ValueError(_ONE_PLACE)
        return self
