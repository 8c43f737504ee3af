"""``dashboard`` of the controller's configuration: who may look, and how it is served."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, field_validator

from crds.base import Resource

__all__ = ["Dashboard", "ServerTls"]

_HOST: Final = r"(\*\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?"


class ServerTls(Resource):
    """The certificate of ``--http-address``. Files are read anew when they change."""

    cert_file: Annotated[str, Field(min_length=1, description="Certificate chain, PEM.")]
    key_file: Annotated[str, Field(min_length=1, description="Its key, PEM.")]


class Dashboard(Resource):
    """How the controller's pages are served on ``--http-address``."""

    enabled: Annotated[
        bool, Field(description="Whether there are pages at all. Without them the address serves gates alone.")
    ] = True
    anonymous: Annotated[
        bool,
        Field(
            description="Whether people may look without a token. Without, they need one of a user who may list rollouts."
        ),
    ] = True
    actions: Annotated[
        bool, Field(description="Whether people may act, each with a Kubernetes token of their own.")
    ] = True
    hosts: Annotated[
        tuple[str, ...],
        Field(
            description="Names under which people reach the pages, e.g. coalmine.example.com or *.example.com. Addresses,"
            " localhost and Service names (….svc, ….svc.cluster.local) always work."
        ),
    ] = ()
    links: Annotated[
        dict[str, str], Field(description="Shown on the pages, e.g. Grafana: https://grafana.example.com/.")
    ] = Field(default_factory=dict)
    tls: Annotated[ServerTls | None, Field(description="Serve the address over TLS; plain HTTP without.")] = None

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(_HOST, host):
                msg = f"{host!r} is no host name: write it like coalmine.example.com, without scheme and port"
                raise ValueError(msg)
        return tuple(host.lower() for host in hosts)

    @field_validator("links")
    @classmethod
    def _are_links(cls, links: dict[str, str]) -> dict[str, str]:
        for name, url in links.items():
            if not url.startswith(("https://", "http://")):
                msg = f"{name}: {url!r} is no link: write it like https://grafana.example.com/"
                raise ValueError(msg)
        return links
