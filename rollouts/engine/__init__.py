"""Gathers what is observed, asks the core, applies what it says."""
