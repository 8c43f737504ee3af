"""The delta ADS server."""
