"""Samples, policy and verdict. No I/O."""
