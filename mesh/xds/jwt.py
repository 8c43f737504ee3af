"""RequestAuthentications as Envoy's jwt_authn filter.

The filter stands in every inbound listener and gets its configuration by ECDS, so that a changed key set or rule holds for
the next request of an open connection and no listener is drained for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.core.v3 import base_pb2, config_source_pb2, extension_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from google.protobuf import empty_pb2

from mesh.xds.messages import ads, to_any

if TYPE_CHECKING:
    from mesh.ir.authz import JwtRule

__all__ = ["JWT_CONFIG", "JWT_METADATA", "PAYLOAD", "jwt_config", "jwt_filter"]

JWT_CONFIG: Final = "jwt"
"""Name of the filter, and of its configuration."""
JWT_METADATA: Final = "envoy.filters.http.jwt_authn"
"""Filter name of the dynamic metadata that holds the payload of a valid token."""
PAYLOAD: Final = "payload"
_NOBODYS: Final = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"nobody",'
    '"x":"DHDVA1r25Qpl-8cNSeqP6az-3kP3J1w622lKbHPwGTk","y":"GnThfTLkyomAkSA4kq52Z5RTIhI4UN1Bru7WYp2FJYk"}]}'
)
"""In place of keys that are not known, since Envoy refuses a set without a key: no token fits this one.

Its x is the SHA-256 of "coalmine: nobody has this key 0", so there is a point but nobody knows a private key to it.
"""
_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def jwt_filter() -> hcm.HttpFilter:
    """Return the filter of an inbound listener; it has no default, so that no request passes before it is told."""
    source = config_source_pb2.ExtensionConfigSource(config_source=ads(), type_urls=[_TYPE])
    return hcm.HttpFilter(name=JWT_CONFIG, config_discovery=source)


def jwt_config(rules: tuple[JwtRule, ...]) -> extension_pb2.TypedExtensionConfig:
    """Return the filter's configuration: a token must be valid, a request without one passes."""
    config = jwt_authn.JwtAuthentication(bypass_cors_preflight=True)
    names = [f"{index}" for index in range(len(rules))]
    for name, rule in zip(names, rules, strict=True):
        config.providers[name].CopyFrom(_provider(rule))
    if rules:
        match = route_components_pb2.RouteMatch(prefix="/")
        config.rules.add(match=match, requires=_requirement(names))
    return extension_pb2.TypedExtensionConfig(name=JWT_CONFIG, typed_config=to_any(config))


def _requirement(names: list[str]) -> jwt_authn.JwtRequirement:
    """Every token that is there is valid, or one is: issuers that share a place of tokens refuse each other's."""
    missing = jwt_authn.JwtRequirement(allow_missing=empty_pb2.Empty())
    each = [_any(jwt_authn.JwtRequirement(provider_name=name), missing) for name in names]
    if len(each) == 1:
        return each[0]
    every = jwt_authn.JwtRequirement(requires_all=jwt_authn.JwtRequirementAndList(requirements=each))
    return _any(*(jwt_authn.JwtRequirement(provider_name=name) for name in names), every)


def _any(*requirements: jwt_authn.JwtRequirement) -> jwt_authn.JwtRequirement:
    return jwt_authn.JwtRequirement(requires_any=jwt_authn.JwtRequirementOrList(requirements=requirements))


def _provider(rule: JwtRule) -> jwt_authn.JwtProvider:
    provider = jwt_authn.JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        local_jwks=base_pb2.DataSource(inline_string=rule.jwks or _NOBODYS),
        forward=rule.forward,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward_payload_header=rule.payload_header,
        payload_in_metadata=PAYLOAD,
        normalize_payload_in_metadata=jwt_authn.JwtProvider.NormalizePayload(
            space_delimited_claims=rule.space_delimited
        ),
    )
    for name, prefix in rule.from_headers:
        provider.from_headers.add(name=name, value_prefix=prefix)
    for header, claim in rule.claim_headers:
        provider.claim_to_headers.add(header_name=header, claim_name=claim)
    return provider
