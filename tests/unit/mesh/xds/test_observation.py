"""What is added to every listener. What Envoy makes of it is in the integration tests."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import unknown_fields

from mesh.ir.authz import Authorization
from mesh.ir.services import ContainerPort
from mesh.ir.views import Inbound
from mesh.xds import standard
from mesh.xds.capture import captured_inbound
from mesh.xds.listeners import inbound_listener, outbound_listener
from mesh.xds.observation import observation


def http(listener):
    for chain in listener.filter_chains:
        manager = hcm.HttpConnectionManager()
        if chain.filters[-1].typed_config.Unpack(manager):
            yield manager


def stats(log):
    config = stats_pb2.Config()
    log.typed_config.Unpack(config)
    return [*config.counters, *config.histograms]


def test_both_directions_count_as_their_end():
    inbound = inbound_listener(Inbound(15007, ContainerPort("http", 8080)), "10.0.0.1")
    outbound = outbound_listener("10.0.0.1", (), ())
    for listener, reporter in ((inbound, "destination"), (outbound, "source")):
        managers = list(http(observation()(listener)))
        assert managers
        for manager in managers:
            found = stats(manager.access_log[-1])
            assert {f"coalmine.{s.stat.name}" for s in found} == {standard.REQUESTS, *standard.HISTOGRAMS}
            for stat in found:
                tags = {tag.name: tag.value_format for tag in stat.stat.tags}
                assert tags["reporter"] == reporter
                assert set(tags) <= set(standard.TAGS)


def test_what_logs_the_end_of_a_connection_does_not_log_its_beginning():
    listener = inbound_listener(Inbound(15007, ContainerPort("tcp-db", 5432, "tcp"), "DISABLE"), "10.0.0.1")
    proxy = tcp_proxy_pb2.TcpProxy()
    observation()(listener).filter_chains[0].filters[-1].typed_config.Unpack(proxy)

    assert proxy.access_log_options.flush_access_log_on_connected
    audit, *plain, opened, closed = proxy.access_log
    assert [stat.stat.name for log in plain for stat in stats(log)] == ["plain.connections"]
    assert audit.name == "coalmine.audit"
    ended = list(closed.filter.log_type_filter.types)
    assert list(audit.filter.and_filter.filters[0].log_type_filter.types) == ended
    assert audit.filter.and_filter.filters[1].HasField("metadata_filter")
    assert list(opened.filter.log_type_filter.types) != ended


def test_other_messages_stay_as_they_are():
    cluster = cluster_pb2.Cluster(name="payment")
    assert observation()(cluster) is cluster


def loggers(observe):
    (manager,) = http(observe(outbound_listener("10.0.0.1", (), ())))
    return {log.name: log for log in manager.access_log}


def test_access_logs_are_written_where_asked_for():
    assert "coalmine.access" not in loggers(observation())
    assert not loggers(observation(access_log_percent=100))["coalmine.access"].HasField("filter")
    sampled = loggers(observation(access_log_percent=0.5))["coalmine.access"].filter.runtime_filter.percent_sampled
    assert (sampled.numerator, sampled.denominator) == (5000, sampled.MILLION)


def test_connections_are_logged_once_when_they_end():
    listener = inbound_listener(Inbound(15007, ContainerPort("tcp-db", 5432, "tcp"), "DISABLE"), "10.0.0.1")
    proxy = tcp_proxy_pb2.TcpProxy()
    observation(access_log_percent=100)(listener).filter_chains[0].filters[-1].typed_config.Unpack(proxy)
    (line,) = [log for log in proxy.access_log if log.name == "coalmine.access"]
    assert line.filter.HasField("log_type_filter")


def plain_tags(listener):
    """Return by chain the port and source of what counts plaintext."""
    found = {}
    for chain in observation()(listener).filter_chains:
        config = hcm.HttpConnectionManager()
        if not chain.filters[-1].typed_config.Unpack(config):
            config = tcp_proxy_pb2.TcpProxy()
            chain.filters[-1].typed_config.Unpack(config)
        counters = [s.stat for log in config.access_log for s in stats(log) if s.stat.name.startswith("plain.")]
        found[chain.name] = [{tag.name: tag.value_format for tag in stat.tags} for stat in counters]
    return found


def test_what_is_not_the_meshs_mutual_tls_is_counted_by_its_source():
    source = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    http_port, tcp_port = ContainerPort("http", 8080), ContainerPort("tcp-db", 5432, "tcp")
    seen = [{"source": source, "port": "8080"}]

    assert plain_tags(inbound_listener(Inbound(15007, http_port, "PERMISSIVE"), "10.0.0.1")) == {
        "mtls": [],
        "plaintext": seen,
    }
    assert plain_tags(inbound_listener(Inbound(15007, http_port, "DISABLE"), "10.0.0.1")) == {"plaintext": seen}
    assert plain_tags(inbound_listener(Inbound(15007, http_port, "STRICT"), "10.0.0.1")) == {"mtls": []}
    tcp = plain_tags(inbound_listener(Inbound(15007, tcp_port, "PERMISSIVE"), "10.0.0.1"))
    assert {name: len(found) for name, found in tcp.items()} == {"mtls": 0, "tls": 1, "plaintext": 1}


def test_captured_ports_are_told_apart_and_loops_are_not_counted():
    ports = [Inbound(15006, ContainerPort("http", 8080), "PERMISSIVE"), Inbound(15006, ContainerPort("", 0, "tcp"))]
    found = plain_tags(captured_inbound(ports, "10.0.0.1", Authorization()))

    assert found["loop"] == []
    assert [tags["port"] for tags in found["8080-plaintext"]] == ["8080"]
    assert [tags["port"] for tags in found["other-plaintext"]] == ["0"]


def test_what_is_refused_is_counted_where_it_was_going():
    (log,) = observation()(inbound_listener(Inbound(15007, ContainerPort("", 8080), "STRICT"), "10.0.0.1")).access_log
    (stat,) = stats(log)
    assert list(log.filter.response_flag_filter.flags) == ["NR"]
    assert {tag.name: tag.value_format for tag in stat.stat.tags}["port"] == "8080"

    (log,) = observation()(captured_inbound([], "10.0.0.1", Authorization())).access_log
    assert {tag.name: tag.value_format for tag in stats(log)[0].stat.tags}["port"] == "%DOWNSTREAM_LOCAL_PORT%"
    assert not observation()(outbound_listener("10.0.0.1", (), ())).access_log


def test_what_is_by_source_is_bounded_for_the_whole_sidecar():
    listener = observation()(inbound_listener(Inbound(15007, ContainerPort("", 8080), "DISABLE"), "10.0.0.1"))
    (manager,) = http(listener)
    by_source = [log for log in manager.access_log if any("plain." in s.stat.name for s in stats(log))]
    scopes = {scope_of(log) for log in [*by_source, *listener.access_log]}
    assert scopes == {b"\x0a\x03\x08\xf4\x03\x20\x01\x2a\x08coalmine\x32\x05plain"}  # 500 counters, evicted, shared


def scope_of(log):
    """Return the bytes of field 6, which the generated messages do not know."""
    config = stats_pb2.Config()
    log.typed_config.Unpack(config)
    (scope,) = [field.data for field in unknown_fields.UnknownFieldSet(config) if field.field_number == 6]
    return scope
