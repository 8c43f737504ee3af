"""How the controller is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollouts.api.controller import ControllerConfig
from rollouts.api.floors import AUTOSCALERS

if TYPE_CHECKING:
    from pathlib import Path

    from rollouts.engine.leader import LeaseSettings

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How the controller is run. See ``coalmine controller run --help``."""

    kubeconfig: Path | None
    mesh_url: str
    hold: str
    health_address: str
    http_address: str | None = None
    """Where the pages are, and what gates need; nowhere without it."""
    webhook_address: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    otlp_address: str | None = None
    otlp_token_file: Path | None = None
    mesh_token_file: Path | None = None
    max_releases: int | None = None
    namespaces: tuple[str, ...] = ()
    """Those that are watched; none: the whole cluster."""
    autoscalers: tuple[str, ...] = AUTOSCALERS
    lease: LeaseSettings | None = None
    """None: this is the only controller."""
    config: ControllerConfig = field(default_factory=ControllerConfig)
