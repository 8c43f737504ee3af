"""Trace headers that Envoy's OpenTelemetry tracer does not treat as people expect.

It does not know B3 (Zipkin's headers). What a request brings becomes its ``traceparent`` before the tracer looks at it;
after the tracer has written the new one, the B3 headers that the request has are written anew from it, so that who reads
B3 sees the same trace and parent. Envoy's expressions cannot join strings, so that each value is put together of several.

And it records what a caller wants recorded only if Envoy itself would (1.40), so that a trace would lose spans on its way.
The header ``x-client-trace-id`` makes Envoy want it; it is not passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as filter_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as early_pb2

from mesh.xds.messages import to_any

if TYPE_CHECKING:
    from mesh.ir.tracing import B3

__all__ = ["before_the_tracer", "behind_the_tracer"]

_W3C: Final = "traceparent"
_WISH: Final = "x-client-trace-id"
_WANTED: Final = "request.headers['traceparent'].matches('-[0-9a-f][13579bdf]$')"
_SINGLE: Final = "request.headers['b3']"
_TRACE: Final = "request.headers['x-b3-traceid']"
_SPAN: Final = "request.headers['x-b3-spanid']"
_ZEROS: Final = "'0000000000000000'"
# Envoy bounds an expression's regular expressions to about a hundred steps, so lengths are asked for apart.
_HEX: Final = "matches('^[0-9a-f]+$')"
_FORM: Final = f"{_SINGLE}.matches('^[0-9a-f]+-[0-9a-f]+(-[01d](-[0-9a-f]+)?)?$')"
_LONG: Final = f"({_FORM} && size({_SINGLE}) in [49, 51, 68])"
_SHORT: Final = f"({_FORM} && size({_SINGLE}) in [33, 35, 52])"
_SINGLE_SAMPLED: Final = f"({_SINGLE}.matches('^[0-9a-f]+-[0-9a-f]+-[1d]') ? '-01' : '-00')"
_MULTI: Final = (
    f"({_TRACE}.{_HEX} && size({_TRACE}) in [16, 32] && {_SPAN}.{_HEX} && size({_SPAN}) == 16 "
    f"&& !('b3' in request.headers))"
)
_MULTI_SAMPLED: Final = (
    "('x-b3-flags' in request.headers && request.headers['x-b3-flags'] == '1' "
    "|| 'x-b3-sampled' in request.headers && request.headers['x-b3-sampled'] in ['1', 'true'] ? '-01' : '-00')"
)
_DASH: Final = "'-'"
_FLAG: Final = (
    "(size(request.headers['traceparent']) != 55 ? '' : request.headers['traceparent'].endsWith('1') ? '1' : '0')"
)
_JUST_WRITTEN: Final = f"size({_SINGLE}) == 32"


def before_the_tracer(b3: B3) -> extension_pb2.TypedExtensionConfig:
    """Return what prepares a request's headers: a ``traceparent`` from B3 where there is none, and the caller's wish.

    Args:
        b3: What is done about B3 headers; of malformed ones nothing is made.
    """
    values = [] if b3 == "off" else _from_b3()
    mutations = [_put(_W3C, value, base_pb2.HeaderValueOption.ADD_IF_ABSENT) for value in values]
    mutations.append(_put(_WISH, _if(_WANTED, "'1'"), base_pb2.HeaderValueOption.ADD_IF_ABSENT))
    config = early_pb2.HeaderMutation(mutations=mutations)
    return extension_pb2.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=to_any(config)
    )


def _from_b3() -> list[str]:
    return [
        _if(_LONG, "'00-'") + _if(_LONG, _SINGLE, ":49") + _if(_LONG, _SINGLE_SAMPLED),
        _if(_SHORT, "'00-'") + _if(_SHORT, _ZEROS) + _if(_SHORT, _SINGLE, ":33") + _if(_SHORT, _SINGLE_SAMPLED),
        _if(_MULTI, "'00-'")
        + _if(f"{_MULTI} && size({_TRACE}) == 16", _ZEROS)
        + _if(_MULTI, _TRACE)
        + _if(_MULTI, "'-'")
        + _if(_MULTI, _SPAN)
        + _if(_MULTI, _MULTI_SAMPLED),
    ]


def behind_the_tracer(b3: B3) -> list[hcm.HttpFilter]:
    """Return the router's filters that make a request's headers ready for who gets it.

    Args:
        b3: What is done about B3 headers.
    """
    mutations = [mutation_rules_pb2.HeaderMutation(remove=_WISH), *([] if b3 == "off" else _to_b3(add=b3 == "add"))]
    config = filter_pb2.HeaderMutation(mutations=filter_pb2.Mutations(request_mutations=mutations))
    codec = upstream_codec_pb2.UpstreamCodec()
    return [
        hcm.HttpFilter(name="envoy.filters.http.header_mutation", typed_config=to_any(config)),
        hcm.HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=to_any(codec)),
    ]


def _to_b3(*, add: bool) -> list[mutation_rules_pb2.HeaderMutation]:
    renew = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS
    multi = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD if add else renew
    return [
        _put("x-b3-traceid", "%TRACE_ID%", multi),
        _put("x-b3-spanid", "%SPAN_ID%", multi),
        _put("x-b3-sampled", f"%CEL{_FLAG}%", multi),
        # In two steps, so that the header stays as it came where there is no span.
        _put("b3", "%TRACE_ID%", renew),
        _put(
            "b3",
            f"{_if(_JUST_WRITTEN, _SINGLE)}{_if(_JUST_WRITTEN, _DASH)}%SPAN_ID%{_if(_JUST_WRITTEN, _DASH)}"
            f"{_if(_JUST_WRITTEN, _FLAG)}",
            renew,
        ),
    ]


def _if(condition: str, value: str, length: str = "") -> str:
    """Return the formatter of a value that is empty unless a condition holds; also where a header is missing."""
    return f"%CEL({condition} ? {value} : ''){length}%"


def _put(
    name: str, value: str, action: base_pb2.HeaderValueOption.HeaderAppendAction
) -> mutation_rules_pb2.HeaderMutation:
    header = base_pb2.HeaderValue(key=name, value=value)
    return mutation_rules_pb2.HeaderMutation(append=base_pb2.HeaderValueOption(header=header, append_action=action))
