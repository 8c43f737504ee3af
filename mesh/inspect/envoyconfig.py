"""What an Envoy says of its configuration (``/config_dump?include_eds``, ``/clusters?format=json``), as rows. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Row", "cluster_rows", "endpoint_rows", "listener_rows", "route_rows", "secret_rows"]

Row = dict[str, Any]
"""A row's values by heading in lower case, and under ``raw`` what Envoy said."""
_HCM: Final = "envoy.filters.network.http_connection_manager"
_TCP: Final = "envoy.filters.network.tcp_proxy"


def _parts(dump: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for part in dump.get("configs") or ():
        if str(part.get("@type", "")).endswith(kind):
            yield part


def listener_rows(dump: Mapping[str, Any]) -> list[Row]:
    """Return one row for each filter chain of each listener; one that is warming or was refused says so."""
    rows = []
    for part in _parts(dump, ".ListenersConfigDump"):
        for entry in part.get("static_listeners") or ():
            rows += _listener(entry["listener"], "active")
        for entry in part.get("dynamic_listeners") or ():
            for state in ("active", "warming", "draining"):
                if found := entry.get(f"{state}_state"):
                    rows += _listener(found["listener"], state)
            if error := entry.get("error_state"):
                where = {"name": entry["name"], "address": "-", "port": "-", "match": "-"}
                rows.append({**where, "destination": error.get("details", ""), "state": "REFUSED", "raw": entry})
    return rows


def _listener(listener: dict[str, Any], state: str) -> list[Row]:
    socket = listener.get("address", {}).get("socket_address", {})
    where = {"name": listener["name"], "address": socket.get("address", "-"), "port": socket.get("port_value", "-")}
    chains = [*(listener.get("filter_chains") or ()), *filter(None, [listener.get("default_filter_chain")])]
    return [
        {**where, "match": _chain_match(chain), "destination": _chain_to(chain), "state": state, "raw": listener}
        for chain in chains
    ]


def _chain_match(chain: Mapping[str, Any]) -> str:
    match = chain.get("filter_chain_match") or {}
    found = [f"{k}={_text(v)}" for k, v in sorted(match.items())]
    return " ".join(found) or "ALL"


def _chain_to(chain: Mapping[str, Any]) -> str:
    for entry in chain.get("filters") or ():
        config = entry.get("typed_config") or {}
        if entry["name"] == _HCM:
            inline = (config.get("route_config") or {}).get("name")
            return f"routes {(config.get('rds') or {}).get('route_config_name') or inline or '-'}"
        if entry["name"] == _TCP:
            return f"cluster {config['cluster']}" if "cluster" in config else _weighted(config)
    return "-"


def route_rows(dump: Mapping[str, Any]) -> list[Row]:
    """Return one row for each route of each virtual host."""
    rows = []
    for part in _parts(dump, ".RoutesConfigDump"):
        for kind in ("static_route_configs", "dynamic_route_configs"):
            for entry in part.get(kind) or ():
                config = entry["route_config"]
                for host in config.get("virtual_hosts") or ():
                    rows += [_route(config.get("name", ""), host, route) for route in host.get("routes") or ()]
    return rows


def _route(config: str, host: Mapping[str, Any], route: dict[str, Any]) -> Row:
    return {
        "routes": config,
        "host": host["name"],
        "domains": list(host.get("domains") or ()),
        "match": _route_match(route.get("match") or {}),
        "destination": _route_to(route),
        "raw": route,
    }


def _route_match(match: Mapping[str, Any]) -> str:
    found = []
    if "path" in match:
        found.append(match["path"])
    elif "prefix" in match or "path_separated_prefix" in match:
        found.append(f"{match.get('prefix') or match.get('path_separated_prefix')}*")
    elif "safe_regex" in match:
        found.append(f"~{match['safe_regex'].get('regex', '')}")
    for kind in ("headers", "query_parameters"):
        for header in match.get(kind) or ():
            sign = "!=" if header.get("invert_match") else "="
            found.append(
                f"{header['name']}{sign}{_text(header.get('string_match') or header.get('present_match') or '*')}"
            )
    return " ".join(found) or "*"


def _route_to(route: Mapping[str, Any]) -> str:
    action = route.get("route")
    if action is None:
        direct = route.get("direct_response") or route.get("redirect") or {}
        status = direct.get("status") or direct.get("response_code") or ""
        return f"{'redirect' if 'redirect' in route else 'answer'} {status}".strip()
    return str(action["cluster"]) if "cluster" in action else _weighted(action)


def _weighted(action: Mapping[str, Any]) -> str:
    entries = (action.get("weighted_clusters") or {}).get("clusters") or ()
    total = sum(e.get("weight", 0) for e in entries) or 1
    return ", ".join(f"{e['name']} {100 * e.get('weight', 0) / total:.4g} %" for e in entries) or "-"


def cluster_rows(dump: Mapping[str, Any]) -> list[Row]:
    """Return one row for each cluster; one that still warms says so."""
    rows = []
    for part in _parts(dump, ".ClustersConfigDump"):
        for kind, state in (
            ("static_clusters", "active"),
            ("dynamic_active_clusters", "active"),
            ("dynamic_warming_clusters", "warming"),
        ):
            for entry in part.get(kind) or ():
                if error := entry.get("error_state"):
                    state = f"REFUSED {error.get('details', '')}"  # noqa: PLW2901 - of this cluster alone
                rows.append(_cluster(entry["cluster"], state))
    return rows


def _cluster(cluster: dict[str, Any], state: str) -> Row:
    direction, port, subset, host = _split_name(cluster["name"])
    outlier = cluster.get("outlier_detection") or {}
    ejection = (
        f"{outlier.get('consecutive_5xx', 5)}×5xx, ≤{outlier.get('max_ejection_percent', 10)} %" if outlier else "-"
    )
    return {
        "host": host,
        "port": port,
        "subset": subset or "-",
        "direction": direction,
        "type": cluster.get("type") or (cluster.get("cluster_type") or {}).get("name", "STATIC"),
        "balancing": cluster.get("lb_policy", "ROUND_ROBIN"),
        "ejection": ejection,
        "state": state,
        "raw": cluster,
    }


def _split_name(name: str) -> tuple[str, str, str, str]:
    """Return direction, port, subset and host of a cluster's name."""
    parts = name.split("|")
    match parts:
        case [direction, port, subset, host]:
            return direction, port, subset, host
        case [direction, port]:
            return direction, port, "", "-"
        case _:
            return "-", "-", "", name


def endpoint_rows(clusters: Mapping[str, Any], dump: Mapping[str, Any]) -> list[Row]:
    """Return one row for each address of each cluster.

    Args:
        clusters: ``/clusters?format=json``: what Envoy thinks of its health.
        dump: ``/config_dump?include_eds``: which pod has the address.
    """
    pods = _pods(dump)
    rows = []
    for cluster in clusters.get("cluster_statuses") or ():
        for host in cluster.get("host_statuses") or ():
            socket = (host.get("address") or {}).get("socket_address") or {}
            address = f"{socket.get('address', '-')}:{socket.get('port_value', '-')}" if socket else "-"
            rows.append(
                {
                    "endpoint": address,
                    "pod": pods.get((cluster["name"], address), "-"),
                    "status": _health(host.get("health_status") or {}),
                    "cluster": cluster["name"],
                    "raw": host,
                }
            )
    return rows


def _health(status: Mapping[str, Any]) -> str:
    if status.get("failed_outlier_check"):
        return "EJECTED"
    eds = status.get("eds_health_status", "HEALTHY")
    return str(eds) if eds != "HEALTHY" or not status.get("failed_active_health_check") else "UNHEALTHY"


def _pods(dump: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    found = {}
    for part in _parts(dump, ".EndpointsConfigDump"):
        for entry in part.get("dynamic_endpoint_configs") or ():
            assignment = entry.get("endpoint_config") or {}
            for locality in assignment.get("endpoints") or ():
                for endpoint in locality.get("lb_endpoints") or ():
                    socket = endpoint.get("endpoint", {}).get("address", {}).get("socket_address", {})
                    meta = ((endpoint.get("metadata") or {}).get("filter_metadata") or {}).get("coalmine") or {}
                    if pod := meta.get("pod"):
                        key = (
                            assignment.get("cluster_name", ""),
                            f"{socket.get('address')}:{socket.get('port_value')}",
                        )
                        found[key] = f"{pod} ({meta['version']})" if meta.get("version") else pod
    return found


def secret_rows(dump: Mapping[str, Any]) -> list[Row]:
    """Return one row for each certificate: whose it is and how long it holds. Envoy never shows keys."""
    rows: list[Row] = []
    for part in _parts(dump, ".SecretsConfigDump"):
        for kind in ("static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets"):
            for entry in part.get(kind) or ():
                state = "WARMING" if "warming" in kind else "ACTIVE"
                rows += _secret(entry, state)
    return rows


def _secret(entry: dict[str, Any], state: str) -> Iterator[Row]:
    secret = entry.get("secret") or {}
    sources = (
        ("certificate", (secret.get("tls_certificate") or {}).get("certificate_chain")),
        ("root", (secret.get("validation_context") or {}).get("trusted_ca")),
    )
    held = [(kind, certificate) for kind, source in sources for certificate in _certificates(source or {})]
    name = entry.get("name") or secret.get("name", "-")
    blank = {"name": name, "type": "-", "state": state, "identity": "-", "serial": "-", "until": "-", "raw": entry}
    if not held:
        yield blank
    for kind, certificate in held:
        until = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        serial = f"{certificate.serial_number:x}"
        yield {**blank, "type": kind, "identity": _identity(certificate), "serial": serial, "until": until}


def _certificates(source: Mapping[str, Any]) -> list[x509.Certificate]:
    try:
        pem = base64.b64decode(source.get("inline_bytes", "")) or source.get("inline_string", "").encode()
        return x509.load_pem_x509_certificates(pem) if pem else []
    except (ValueError, binascii.Error):
        return []


def _identity(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string() or "-"
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return ", ".join(uris or names.get_values_for_type(x509.DNSName)) or "-"


def _text(value: object) -> str:
    """Return a matcher's value for people."""
    if isinstance(value, dict):
        kind, inner = next(iter(value.items()), ("", ""))
        sign = {"exact": "", "prefix": "^", "suffix": "$", "safe_regex": "~", "contains": "∋"}.get(kind, f"{kind}:")
        return f"{sign}{_text(inner.get('regex', inner) if isinstance(inner, dict) else inner)}"
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)
