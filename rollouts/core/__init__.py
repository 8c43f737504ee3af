"""Decisions: the state machine and everything it needs, as pure functions. No I/O."""
