"""Prometheus, and what answers like it: Thanos, Mimir, Cortex, VictoriaMetrics."""

from analysis.providers.prometheus.counts import PrometheusCountSource, open_counts
from analysis.providers.prometheus.values import open_values

__all__ = ["PrometheusCountSource", "open_counts", "open_values"]
