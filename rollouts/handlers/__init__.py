"""Kubernetes events, through kopf."""
