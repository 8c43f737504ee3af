"""The access loggers. What Envoy makes of them is in the integration tests."""

from __future__ import annotations

from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from mesh.xds import telemetry


def configs(logs):
    for log in logs:
        config = stats_pb2.Config()
        assert log.typed_config.Unpack(config)
        yield log, config


def stats(logs):
    return [stat for _, config in configs(logs) for kind in (config.counters, config.histograms) for stat in kind]


def test_every_stat_is_known_to_the_receiver():
    names = {f"{telemetry.STATS_PREFIX}.{stat.stat.name}" for stat in stats(telemetry.request_access_logs())}
    assert names == {telemetry.REQUESTS, telemetry.REQUEST_ERRORS}

    names = {f"{telemetry.STATS_PREFIX}.{stat.stat.name}" for stat in stats(telemetry.attempt_access_logs())}
    assert names == {telemetry.ATTEMPTS, telemetry.ATTEMPT_ERRORS, telemetry.ANSWERED_US, telemetry.SILENT_MS}


def test_every_stat_is_told_apart_by_host_backend_pod_and_route():
    for stat in stats([*telemetry.request_access_logs(), *telemetry.attempt_access_logs()]):
        assert [tag.name for tag in stat.stat.tags] == ["host", "backend", "pod", "route"]


def test_an_attempt_is_in_one_of_the_two_histograms():
    filters = {
        config.histograms[0].stat.name: log.filter.status_code_filter.comparison
        for log, config in configs(telemetry.attempt_access_logs())
        if config.histograms
    }
    answered, silent = filters["answered_us"], filters["silent_ms"]
    assert (answered.op, answered.value.default_value) == (answered.GE, 1)
    assert (silent.op, silent.value.default_value) == (silent.EQ, 0)


def test_the_scope_that_the_library_does_not_know_reaches_envoy():
    for _, config in configs([*telemetry.request_access_logs(), *telemetry.attempt_access_logs()]):
        assert not config.stat_prefix  # deprecated: Envoy would warn at every change of the listener
        assert b"\x32\x0a\x2a\x08coalmine" in config.SerializeToString()


def test_the_same_loggers_are_the_same_bytes():
    """Else every change of anything would send each proxy a new listener, and drain its connections."""
    for build in (telemetry.request_access_logs, telemetry.attempt_access_logs):
        assert [log.SerializeToString() for log in build()] == [log.SerializeToString() for log in build()]
