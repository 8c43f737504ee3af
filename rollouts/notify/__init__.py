"""Telling people outside of the cluster what became of a release."""
