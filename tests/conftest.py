"""For all tests: nothing is asserted about how fast an example runs; that is measured in benchmarks/."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("coalmine", deadline=None)
settings.load_profile("coalmine")
