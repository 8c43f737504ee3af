"""Settings of any service that answers with JSON over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from analysis.api.connection import Address, BasicAuth, Service
from analysis.api.paths import JsonPath
from analysis.api.secret import SecretKeyRef
from crds.base import Resource
from crds.schema import Rule, list_map, rules

__all__ = ["Header", "Web"]

_ONE_VALUE = "a header has either a value or a secretKeyRef: write one of them"
_ONE_BODY = "write at most one of body and jsonBody"


class Header(Resource):
    """A header of the request."""

    model_config = ConfigDict(
        json_schema_extra=rules(Rule(rule="has(self.value) != has(self.secretKeyRef)", message=_ONE_VALUE))
    )

    key: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^[-A-Za-z0-9!#$%&'*+.^_`|~]+$", description="Its name.")
    ]
    value: Annotated[str | None, Field(max_length=4096, description="Its value.")] = None
    secret_key_ref: Annotated[SecretKeyRef | None, Field(description="The Secret that holds its value.")] = None

    @model_validator(mode="after")
    def _one_value(self) -> Header:
        if (self.value is None) == (self.secret_key_ref is None):
            raise ValueError(_ONE_VALUE)
        return self


class Web(Service):
    """A number from JSON over HTTP. ``true`` is 1 and ``false`` is 0."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="!(has(self.body) && has(self.jsonBody))", message=_ONE_BODY),
            Rule(
                rule="self.method != 'GET' || !(has(self.body) || has(self.jsonBody))",
                message="method is GET, which has no body: write method: POST, or remove body and jsonBody",
            ),
        )
    )

    url: Annotated[Address, Field(description="What to ask, with its query: https://checks.shop/rate?service=payment.")]
    method: Annotated[Literal["GET", "POST", "PUT"], Field(description="How to ask.")] = "GET"
    headers: Annotated[
        tuple[Header, ...],
        Field(max_length=32, description="Headers of the request.", json_schema_extra=list_map("key")),
    ] = ()
    body: Annotated[str | None, Field(max_length=65536, description="The request's body, as it is.")] = None
    json_body: Annotated[
        dict[str, Any] | None, Field(description="The request's body as JSON; sets Content-Type: application/json.")
    ] = None
    json_path: Annotated[
        JsonPath,
        Field(description="JSONPath to the value in the answer: $.data.rate. $ is an answer that is only a number."),
    ] = "$"
    basic_auth: Annotated[BasicAuth | None, Field(description="User name and password.")] = None

    @model_validator(mode="after")
    def _complete(self) -> Web:
        if self.body is not None and self.json_body is not None:
            raise ValueError(_ONE_BODY)
        if self.method == "GET" and (self.body is not None or self.json_body is not None):
            msg = "method is GET, which has no body: write method: POST, or remove body and jsonBody"
            raise ValueError(msg)
        names = [header.key.lower() for header in self.headers]
        if len(set(names)) != len(names):
            msg = "headers has a name twice: write each header once"
            raise ValueError(msg)
        return self
