"""E-mail by SMTP. A message's Message-ID comes from the transition: where it arrives twice, mail programs show one.

SMTP has no other means: between the last line of a message and the server's answer nobody knows whether it was taken.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from rollouts.notify.base import LaterError, RefusedError, UnclearError
from rollouts.notify.files import read_secret
from rollouts.notify.message import cut, message_of
from rollouts.notify.place import PlaceSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.notifications import Mail
    from rollouts.notify.base import Transition

__all__ = ["MailSink"]

_THREAD: Final = "thread"
_STARTS: Final = frozenset({"ReleaseStarted", "CanaryReplaced"})
_OK: Final = 250
_PERMANENT: Final = 500


class MailSink(PlaceSink):
    """Some people's mailboxes. Messages of one release are in one thread."""

    _place: Mail

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Send the message. See ``Sink``."""
        del doubtful  # the Message-ID is the same
        own = _message_id(transition, self._place.sender)
        thread = own if transition.reason in _STARTS else memory.get(_THREAD, own)
        message = self._message(transition, own, thread)
        password = read_secret(self._place.password_file, self._secret) if self._place.password_file else ""
        await asyncio.to_thread(self._deliver, message, password)
        return {_THREAD: thread}

    @property
    def _secret(self) -> str:
        return f"{self._field}.passwordFile"

    def _message(self, transition: Transition, own: str, thread: str) -> EmailMessage:
        place = self._place
        found = message_of(transition, link=self._link, title=place.template.title, text=place.template.text)
        message = EmailMessage(policy=SMTP)
        message["From"] = f"Coalmine <{place.sender}>"
        message["To"] = ", ".join(place.to)
        message["Subject"] = cut(found.title, 200)
        message["Date"] = formatdate(transition.at)
        message["Message-ID"] = own
        if thread != own:
            message["In-Reply-To"] = message["References"] = thread
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(found.plain(), cte="quoted-printable")
        return message

    def _deliver(self, message: EmailMessage, password: str) -> None:
        place = f"smtp://{self._place.host}:{self._place.port}"
        try:
            server = self._open(password)
        except smtplib.SMTPAuthenticationError as error:
            raise RefusedError(f"{place} refuses the password: {_said(error)}: correct {self._secret}") from None
        except smtplib.SMTPNotSupportedError as error:
            raise RefusedError(f"{place}: {error}: correct {self._field}.tls or port") from None
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(f"{place}: {error.verify_message}: correct {self._field}.host or caFile") from None
        except (smtplib.SMTPException, OSError) as error:
            raise LaterError(f"{place} cannot be reached: {_said(error)}") from None
        try:
            self._hand_over(server, place, message)
        finally:
            server.close()

    def _open(self, password: str) -> smtplib.SMTP:
        place = self._place
        context = ssl.create_default_context(cafile=place.ca_file) if place.tls != "none" else None
        kind = smtplib.SMTP_SSL if place.tls == "tls" else smtplib.SMTP
        more = {"context": context} if place.tls == "tls" else {}
        server = kind(place.host, place.port, timeout=place.timeout_seconds, **more)  # type: ignore[arg-type]
        try:
            if place.tls == "starttls":
                server.starttls(context=context)
            if place.username is not None:
                server.login(place.username, password)
        except BaseException:
            server.close()
            raise
        return server

    def _hand_over(self, server: smtplib.SMTP, place: str, message: EmailMessage) -> None:
        """Say from whom, to whom and what. Up to the last line it was surely not taken."""
        try:
            server.ehlo_or_helo_if_needed()
            _expect(server.mail(self._place.sender), f"{place} refuses {self._field}.from")
            taken = [code for code, _ in (self._recipient(server, to, place) for to in self._place.to) if code]
            if not taken:
                raise RefusedError(f"{place} takes mail for nobody of {self._field}.to: correct them")
        except (smtplib.SMTPException, OSError) as error:
            raise LaterError(f"{place} broke off: {_said(error)}") from None
        try:
            answer = server.data(message.as_bytes())
        except smtplib.SMTPDataError as error:
            answer = (error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b"")
        except (smtplib.SMTPException, OSError) as error:
            raise UnclearError(f"{place} gave no answer: {_said(error)}") from None
        _expect(answer, f"{place} refuses the message")

    def _recipient(self, server: smtplib.SMTP, to: str, place: str) -> tuple[int, bytes]:
        """Return 0 for one that is refused for good: the others get theirs."""
        code, words = server.rcpt(to)
        if code >= _PERMANENT:
            return 0, words
        _expect((code, words), f"{place} refuses {to}")
        return code, words


def _expect(answer: tuple[int, bytes], words: str) -> None:
    code, said = answer
    text = f"{words}: {code} {said.decode(errors='replace')}"
    if code >= _PERMANENT:
        raise RefusedError(text)
    if not _OK <= code < _OK + 50:
        raise LaterError(text)


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        words = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {words}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _message_id(transition: Transition, sender: str) -> str:
    return f"<coalmine.{transition.uid}.{transition.number}@{sender.rpartition('@')[2]}>"
