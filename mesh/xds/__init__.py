"""Intermediate representation to Envoy resources. No I/O."""
