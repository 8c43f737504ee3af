"""HTTP over a Unix socket. In a module of its own, as http.client takes longest of all imports: kubectl starts meanwhile."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HTTPException", "HTTPResponse", "UnixConnection"]


class UnixConnection(HTTPConnection):
    """A connection to whoever listens on a file."""

    def __init__(self, file: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._file = file

    def connect(self) -> None:
        """Connect to the file rather than to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._file))
