"""RequestAuthentication (Istio's): which JSON web tokens a workload takes, and what becomes of them.

A request with a token that is not valid is refused with 401; one without a token passes, unless an AuthorizationPolicy
asks for one.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from crds.base import Duration  # noqa: TC001 - pydantic reads it at run time
from mesh.api.istio import IstioResource
from mesh.api.security import TargetReference, WorkloadSelector  # noqa: TC001 - likewise

__all__ = ["ClaimToHeader", "JwtHeader", "JwtRule", "RequestAuthenticationSpec"]


def _header(value: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value):
        raise ValueError(f"{value!r} is not the name of a header: use letters, digits and '-'")
    return value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError(f"{value!r} is not a URL: write it with http:// or https://")
    return value


def _key_set(value: str) -> str:
    """Check a JSON Web Key Set as far as its shape: what Envoy cannot use it refuses tokens with."""
    try:
        keys = json.loads(value)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError('is not a JSON Web Key Set: write {"keys": [...]}') from None
    if not isinstance(keys, list) or not keys:
        raise ValueError('has no keys: write {"keys": [...]} with at least one')
    return value


HeaderName = Annotated[str, Field(min_length=1), AfterValidator(_header)]
Text = Annotated[str, Field(min_length=1)]


class JwtHeader(IstioResource):
    """A header that carries a token, after a prefix."""

    name: HeaderName
    prefix: str = ""


class ClaimToHeader(IstioResource):
    """A claim that is passed on in a header."""

    header: HeaderName
    claim: Text


class JwtRule(IstioResource):
    """Tokens of one issuer.

    The keys are ``jwks``, or what ``jwksUri`` answers with, or else what the issuer's OpenID configuration names.
    """

    issuer: Text
    audiences: tuple[Text, ...] = ()
    jwks_uri: Annotated[str, AfterValidator(_url)] | None = None
    jwks: Annotated[str, AfterValidator(_key_set)] | None = None
    from_headers: tuple[JwtHeader, ...] = ()
    from_params: tuple[Text, ...] = ()
    from_cookies: tuple[Text, ...] = ()
    output_payload_to_header: HeaderName | None = None
    forward_original_token: bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    space_delimited_claims: tuple[Text, ...] = ()
    timeout: Annotated[Duration, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> JwtRule:
        if self.jwks_uri and self.jwks:
            raise ValueError("jwks cannot be combined with jwksUri: remove one of them")
        return self


class RequestAuthenticationSpec(IstioResource):
    """Desired treatment of tokens by the workloads that are chosen; without a selector all of the namespace."""

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: tuple[TargetReference, ...] = ()
    jwt_rules: tuple[JwtRule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _an_empty_spec_is_one(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _one_target(self) -> RequestAuthenticationSpec:
        if self.selector and self.targets:
            raise ValueError("spec.selector: cannot be combined with targetRefs: remove one of them")
        return self

    @property
    def targets(self) -> tuple[TargetReference, ...]:
        """All targets."""
        return (*self.target_refs, *((self.target_ref,) if self.target_ref else ()))
