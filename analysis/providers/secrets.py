"""The secret values that one request uses: read in time, named when they are refused, and never shown."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from analysis.api.connection import BasicAuth
    from analysis.api.secret import SecretKeyRef

__all__ = ["Secrets"]

_HIDDEN = "«secret»"
# Shorter values are no secrets, and hiding each "a" would only make messages unreadable.
_SHORTEST = 4


class Secrets:
    """Reads secret values for one request, and remembers them for as long as that takes.

    They are read for each request, so that a rotated secret is used at once.
    """

    def __init__(self, read: Callable[[str, str], Awaitable[str]]) -> None:
        """Use a reader of secret values.

        Args:
            read: ``Context.secret``.
        """
        self._read = read
        self._names: dict[str, list[str]] = {}
        self._values: set[str] = set()

    async def value(self, reference: SecretKeyRef) -> str:
        """Return a value without the line break that ``kubectl create secret --from-file`` often leaves at its end.

        Raises:
            ConfigurationError: There is no such Secret, or no such key in it.
        """
        value = (await self._read(reference.name, reference.key)).strip()
        keys = self._names.setdefault(reference.name, [])
        if reference.key not in keys:
            keys.append(reference.key)
        self._values.add(value)
        return value

    async def basic(self, login: BasicAuth) -> str:
        """Return the value of an ``Authorization`` header for a user name and password (RFC 7617, UTF-8)."""
        username, password = await self.value(login.username), await self.value(login.password)
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._values.add(token)
        return f"Basic {token}"

    def hide(self, value: str) -> str:
        """Return a value that was derived from a secret (a short-lived token), hidden in messages from now on."""
        self._values.add(value)
        return value

    def redact(self, text: str) -> str:
        """Return a text without any of the values."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= _SHORTEST:
                text = text.replace(value, _HIDDEN)
        return text

    def __str__(self) -> str:
        """Return which Secrets were read: ``Secret datadog (apiKey, applicationKey)``."""
        return ", ".join(f"Secret {name} ({', '.join(keys)})" for name, keys in self._names.items())

    def __bool__(self) -> bool:
        return bool(self._names)
