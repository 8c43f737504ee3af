"""One comparison of an AuthorizationPolicy as Envoy's RBAC makes it."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from envoy.config.core.v3 import address_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, regex_pb2, string_pb2, value_pb2

from mesh.ir.authz import Pattern, request_principal_parts, template_regex
from mesh.ir.identity import TRUST_DOMAIN, Identity
from mesh.xds.jwt import JWT_METADATA, PAYLOAD

if TYPE_CHECKING:
    from mesh.ir.authz import Condition

__all__ = ["permission", "principal"]

_SPIFFE: Final = "spiffe://"


def permission(condition: Condition, pattern: Pattern) -> rbac_pb2.Permission:
    """Return a comparison of what is requested."""
    match condition.attribute:
        case "path":
            return rbac_pb2.Permission(url_path=path_pb2.PathMatcher(path=_path(pattern)))
        case "sni":
            return rbac_pb2.Permission(requested_server_name=_string(pattern))
        case "host":
            return rbac_pb2.Permission(header=_header(":authority", pattern, ignore_case=True))
        case "destination.port":
            return rbac_pb2.Permission(destination_port=int(pattern.value))
        case "method":
            return rbac_pb2.Permission(header=_header(":method", pattern))
        case "header":
            return rbac_pb2.Permission(header=_header(condition.name[0], pattern))
        case _:
            raise AssertionError(condition.attribute)


def principal(condition: Condition, pattern: Pattern) -> rbac_pb2.Principal:
    """Return a comparison of who requests."""
    match condition.attribute:
        case "principal" | "namespace" | "account":
            name = _authenticated(condition, pattern)
            return rbac_pb2.Principal(authenticated=rbac_pb2.Principal.Authenticated(principal_name=name))
        case "source.ip":
            return rbac_pb2.Principal(direct_remote_ip=_block(pattern))
        case "remote.ip":
            return rbac_pb2.Principal(remote_ip=_block(pattern))
        case "claim":
            return _claim(condition.name, pattern)
        case "request.principal":
            return _request_principal(pattern)
        case _:
            raise AssertionError(condition.attribute)


def _authenticated(condition: Condition, pattern: Pattern) -> string_pb2.StringMatcher:
    here = f"{_SPIFFE}{TRUST_DOMAIN}/ns/"
    if condition.attribute == "account":
        namespace, _, account = pattern.value.partition("/")
        return _string(Pattern("exact", Identity(namespace, account).uri))
    if condition.attribute == "namespace":
        match pattern.kind:
            case "exact":
                return _string(Pattern("prefix", f"{here}{pattern.value}/"))
            case "prefix" | "present":
                return _string(Pattern("prefix", f"{here}{pattern.value}"))
            case _:
                return _regex(f"{re.escape(here)}[^/]*{re.escape(pattern.value)}/.*")
    if pattern.kind in {"exact", "prefix"}:
        return _string(Pattern(pattern.kind, f"{_SPIFFE}{pattern.value}"))
    return _string(pattern)


def _request_principal(pattern: Pattern) -> rbac_pb2.Principal:
    """Compare issuer and subject: Envoy knows no ``<issuer>/<subject>``, and an issuer may have slashes of its own."""
    issuer, subject = request_principal_parts(pattern)
    both = [_claim(("iss",), issuer), _claim(("sub",), subject)]
    return rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=both))


def _claim(path: tuple[str, ...], pattern: Pattern) -> rbac_pb2.Principal:
    """Compare a claim that is a text, or a list of texts of which one fits."""
    one = value_pb2.ValueMatcher(string_match=_string(pattern))
    several = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=one))
    value = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[one, several]))
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (PAYLOAD, *path)]
    matcher = metadata_pb2.MetadataMatcher(filter=JWT_METADATA, path=segments, value=value)
    return rbac_pb2.Principal(sourced_metadata=rbac_pb2.SourcedMetadata(metadata_matcher=matcher))


def _header(name: str, pattern: Pattern, *, ignore_case: bool = False) -> route_components_pb2.HeaderMatcher:
    return route_components_pb2.HeaderMatcher(name=name, string_match=_string(pattern, ignore_case=ignore_case))


def _path(pattern: Pattern) -> string_pb2.StringMatcher:
    return _regex(template_regex(pattern.value)) if pattern.kind == "template" else _string(pattern)


def _string(pattern: Pattern, *, ignore_case: bool = False) -> string_pb2.StringMatcher:
    match pattern.kind:
        case "exact":
            return string_pb2.StringMatcher(exact=pattern.value, ignore_case=ignore_case)
        case "prefix":
            return string_pb2.StringMatcher(prefix=pattern.value, ignore_case=ignore_case)
        case "suffix":
            return string_pb2.StringMatcher(suffix=pattern.value, ignore_case=ignore_case)
        case _:
            return _regex(".+")


def _regex(regex: str) -> string_pb2.StringMatcher:
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=regex))


def _block(pattern: Pattern) -> address_pb2.CidrRange:
    network = ipaddress.ip_network(pattern.value, strict=False)
    found = address_pb2.CidrRange(address_prefix=str(network.network_address))
    found.prefix_len.value = network.prefixlen
    return found
