"""Who may talk to the control plane: what its servers ask, and what they hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTHORIZATION", "Authenticate", "RefusedError", "bearer_token"]

AUTHORIZATION = "authorization"
_BEARER = "Bearer "


class RefusedError(Exception):
    """The caller is nobody that is known (it shows no valid token), or not the one that it says it is.

    Attributes:
        known: Its token is valid, but somebody else's.
    """

    def __init__(self, message: str, *, known: bool = False) -> None:
        super().__init__(message)
        self.known = known


class Authenticate(Protocol):
    """Checks that a token is that of a proxy's pod."""

    async def __call__(self, token: str, proxy: str) -> None:
        """Return when it is.

        Args:
            token: As the caller shows it; empty when it shows none.
            proxy: ``namespace/pod`` that the caller says it is.

        Raises:
            RefusedError: It is not.
        """


def bearer_token(headers: Mapping[str, str]) -> str:
    """Return the token of an Authorization header; empty where there is none. Names are in lower case."""
    value = headers.get(AUTHORIZATION, "")
    return value.removeprefix(_BEARER) if value.startswith(_BEARER) else ""
