"""How the API says that something is wrong: a status, what is wrong, and what to do."""

from __future__ import annotations

from aiohttp import web

from rollouts.dashboard.feeds import encode

__all__ = ["ApiError", "error_answer"]


class ApiError(Exception):
    """Answered with ``{"error", "fix"}``."""

    def __init__(self, status: int, error: str, fix: str = "") -> None:
        """Make one.

        Args:
            status: HTTP status.
            error: What is wrong.
            fix: What to do about it.
        """
        super().__init__(error)
        self.status, self.error, self.fix = status, error, fix


def error_answer(error: ApiError) -> web.Response:
    """Return the answer."""
    headers = (
        {"WWW-Authenticate": 'Bearer realm="kubernetes"'} if error.status == web.HTTPUnauthorized.status_code else {}
    )
    return web.Response(
        status=error.status,
        body=encode({"error": error.error, "fix": error.fix}),
        content_type="application/json",
        headers=headers,
    )
