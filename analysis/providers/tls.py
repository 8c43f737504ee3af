"""TLS settings as an ``ssl.SSLContext``."""

from __future__ import annotations

import ssl
import tempfile
from typing import TYPE_CHECKING

from analysis.providers.base import ConfigurationError

if TYPE_CHECKING:
    from analysis.api.connection import Tls
    from analysis.providers.secrets import Secrets

__all__ = ["TlsFiles", "context_of", "read_tls"]

TlsFiles = tuple[bool, str, str, str]
"""Whether the server is verified; its authorities, the client's certificate and its key (PEM, or empty)."""


async def read_tls(tls: Tls | None, secrets: Secrets) -> TlsFiles:
    """Return the settings with their secrets' values.

    Raises:
        ConfigurationError: A secret is missing.
    """
    if tls is None:
        return (True, "", "", "")
    ca, certificate, key = [
        await secrets.value(ref) if ref else "" for ref in (tls.ca, tls.certificate, tls.private_key)
    ]
    return (not tls.insecure_skip_verify, ca, certificate, key)


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """Return the context for a client.

    Raises:
        ConfigurationError: What should be PEM is not, or the key is another certificate's.
    """
    verify, ca, certificate, key = files
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError) as error:
        msg = "tls.ca does not hold certificates: put their PEM text into the Secret (-----BEGIN CERTIFICATE----- …)"
        raise ConfigurationError(msg) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        # The ssl module takes a certificate and its key from a file only.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".pem") as pair:
            pair.write(f"{certificate}\n{key}\n")
            pair.flush()
            try:
                context.load_cert_chain(pair.name, password="")  # never ask the terminal for one
            except (ssl.SSLError, ValueError) as error:
                msg = (
                    "tls.certificate and tls.privateKey are no pair: put a certificate and its own unencrypted key, "
                    "both as PEM text, into the Secret"
                )
                raise ConfigurationError(msg) from error
    return context
