"""The discovery server's own certificate, exchanged while it serves."""

from __future__ import annotations

from collections import deque
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
        self._chain = chain
        self._first: Any = grpc.ssl_server_certificate_configuration([(key, chain)])
        self._news: deque[Any] = deque(maxlen=1)

    def renew(self, chain: bytes, key: bytes) -> None:
        """Use another certificate from now on."""
        if chain != self._chain:
            self._chain = chain
            self._news.append(grpc.ssl_server_certificate_configuration([(key, chain)]))

    @property
    def credentials(self) -> Any:
        """Credentials for ``AdsServer.start``, to be taken once; callers prove who they are by a token."""
        return grpc.dynamic_ssl_server_credentials(self._first, self._changed, require_client_authentication=False)

    def _changed(self) -> Any:
        """Return the certificate at a handshake where it is another one than before, else None.

        gRPC asks from threads of its own. An answer makes it exchange what handshakes are made from, and one that is under
        way in another thread at that moment can then end the process ("sync.cc: Check failed: prior > 0"): so it must
        not be told again what it knows.
        """
        try:
            return self._news.pop()
        except IndexError:
            return None
