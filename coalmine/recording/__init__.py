"""``coalmine analysis record``: recordings of releases, from clusters and from Prometheus."""
