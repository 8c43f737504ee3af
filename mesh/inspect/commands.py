"""The commands, as ``coalmine mesh`` offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.inspect.analysis import analyze_command
from mesh.inspect.authz import authz_group
from mesh.inspect.certs import certs_command
from mesh.inspect.describe import describe_group
from mesh.inspect.injection import check_inject_command, inject_command
from mesh.inspect.proxyconfig import proxy_config_group
from mesh.inspect.proxystatus import proxy_status_command
from mesh.inspect.strict import check_strict_command
from mesh.inspect.traffic import graph_command, top_command

if TYPE_CHECKING:
    import click

__all__ = ["COMMANDS"]

COMMANDS: Final[tuple[click.Command, ...]] = (
    analyze_command,
    authz_group,
    certs_command,
    check_inject_command,
    check_strict_command,
    describe_group,
    graph_command,
    inject_command,
    proxy_config_group,
    proxy_status_command,
    top_command,
)
