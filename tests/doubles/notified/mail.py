"""An SMTP server (aiosmtpd) that keeps what it takes, and mailboxes that show a Message-ID once."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    import ssl
    from email.message import EmailMessage


class MailDouble:
    """One mail server.

    Attributes:
        taken: All messages that it said yes to, or would have.
        next: What the next messages meet: an answer like ``451 later``, or ``lost``: taken, and the connection breaks.
        refuses: Recipients that there are not.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        self.taken: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.next: list[str] = []
        self.refuses: set[str] = set()
        self.port = 0
        self._tls = tls
        self._login = login
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _protocol(self) -> SMTP:
        more: dict[str, Any] = {}
        if self._login is not None:
            more = {
                "authenticator": self._authenticate,
                "auth_required": True,
                "auth_require_tls": self._tls is not None,
            }
        if self._tls is not None:
            more |= {"tls_context": self._tls, "require_starttls": True}
        return SMTP(self, hostname="mail.double", **more)

    def _authenticate(self, *args: Any) -> AuthResult:
        data = args[-1]
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login.decode(), data.password.decode()) == self._login, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        what = self.next.pop(0) if self.next else ""
        if what and what != "lost":
            return what
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        self.recipients.append(list(envelope.rcpt_tos))
        if what == "lost":
            assert server.transport is not None
            server.transport.close()
        return "250 OK"

    @property
    def shown(self) -> list[EmailMessage]:
        """What a mail program shows: each Message-ID once."""
        return list({str(m["Message-ID"]): m for m in self.taken}.values())
