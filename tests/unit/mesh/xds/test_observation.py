"""What is added to every listener. What Envoy makes of it is in the integration tests."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.ir.services import ContainerPort
from mesh.ir.views import Inbound
from mesh.xds import standard
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
    audit, opened, closed = proxy.access_log
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
