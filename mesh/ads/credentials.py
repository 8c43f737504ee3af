"""The discovery server's own certificate, exchanged while it serves."""

from __future__ import annotations

from typing import Any

import grpc

__all__ = ["ServerCertificate"]


class ServerCertificate:
    """What each handshake gets at its moment; connections that are open go on.

    Args:
        chain: The certificate and what lies between it and the root, PEM.
        key: Its key, PEM.
    """

    def __init__(self, chain: bytes, key: bytes) -> None:
        self._chain = b""
        self._configuration: Any = None
        self.renew(chain, key)

    def renew(self, chain: bytes, key: bytes) -> None:
        """Use another certificate from now on."""
        if chain != self._chain:
            self._chain = chain
            self._configuration = grpc.ssl_server_certificate_configuration([(key, chain)])

    @property
    def credentials(self) -> Any:
        """Credentials for ``AdsServer.start``; callers prove who they are by a token, not by a certificate."""
        # gRPC asks from a thread of its own: reading one attribute is all that happens there.
        return grpc.dynamic_ssl_server_credentials(
            self._configuration, lambda: self._configuration, require_client_authentication=False
        )
