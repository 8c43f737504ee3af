"""Anytime-valid statistics as small pure functions on arrays. No I/O."""
