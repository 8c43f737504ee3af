"""Gather, decide, apply: the I/O around ``rollouts.core``."""
