"""The roots that the mesh trusts, as its Secret holds them, and how one takes the place of another.

No proxy may meet a certificate that it cannot check, so a root is exchanged in three steps, each of which waits until
every proxy has what the next one needs:

| phase | trusted | signs | ends when |
|---|---|---|---|
| ``steady`` | active | active | a new root is asked for, or the active one nears its end |
| ``adding`` | active, next | active | every proxy trusts both |
| ``dropping`` | active (once next), old | active | every proxy has a certificate of the active one |

A proxy that cannot be reached holds it up for no longer than a certificate lives: then its own has ended anyway. The
phase is in the Secret, so a control plane that is restarted goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from mesh.ca.certificates import load_certificate, load_pair, make_root, pem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from mesh.ca.certificates import Pair

__all__ = ["ROOT_LIFE", "Held", "Phase", "Roots", "SecretError", "dump", "first", "load", "next_step"]

ROOT_LIFE: Final = timedelta(days=3650)
_RENEW_BEFORE: Final = ROOT_LIFE / 10
"""A root is exchanged when this much of its life is left."""
_ACTIVE, _NEXT, _OLD, _SINCE = "root", "next", "old-cert.pem", "since"

Phase = Literal["steady", "adding", "dropping"]


class SecretError(ValueError):
    """The Secret does not hold what it should; the message names the key."""


@dataclass(frozen=True, slots=True)
class Roots:
    """What the Secret holds.

    Attributes:
        active: Signs.
        since: When the present phase began.
        next: Is trusted already, and signs next.
        old: Is still trusted, and signs no more.
    """

    active: Pair
    since: datetime
    next: Pair | None = None
    old: x509.Certificate | None = None

    @property
    def phase(self) -> Phase:
        """Where the exchange is."""
        if self.next is not None:
            return "adding"
        return "dropping" if self.old is not None else "steady"

    @property
    def trusted(self) -> bytes:
        """All trusted roots, PEM; what signs is first."""
        found = [self.active.certificate, self.next.certificate if self.next else None, self.old]
        return b"".join(pem_of(certificate) for certificate in found if certificate is not None)


@dataclass(frozen=True, slots=True)
class Held:
    """What the proxies have.

    Attributes:
        trust: Every proxy holds the present trust bundle.
        leaves: Every proxy holds a certificate that the active root vouches for.
    """

    trust: bool
    leaves: bool


def first(now: datetime) -> Roots:
    """Return the roots of a new mesh."""
    return Roots(make_root(now, ROOT_LIFE), since=now)


def next_step(roots: Roots, held: Held, now: datetime, *, wanted: bool, hold: timedelta, leaf_life: timedelta) -> Roots:
    """Return the roots from now on; the same ones where it is not time yet.

    Args:
        roots: The present ones.
        held: What the proxies have.
        now: The time.
        wanted: Somebody asks for a new root.
        hold: How long each step lasts at least: files with the trust bundle are refreshed behind our back.
        leaf_life: How long a workload's certificate lives.
    """
    lasted = now - roots.since
    over = lasted >= max(hold, leaf_life)
    if roots.next is not None:
        if (held.trust and lasted >= hold) or over:
            return Roots(active=roots.next, since=now, old=roots.active.certificate)
    elif roots.old is not None:
        if (held.leaves and lasted >= hold) or over:
            return replace(roots, old=None, since=now)
    elif wanted or roots.active.expires - now < _RENEW_BEFORE:
        return replace(roots, next=make_root(now, ROOT_LIFE), since=now)
    return roots


def dump(roots: Roots) -> dict[str, bytes]:
    """Return the Secret's data."""
    data = {_SINCE: roots.since.astimezone(UTC).isoformat(timespec="seconds").encode()}
    for name, pair in ((_ACTIVE, roots.active), (_NEXT, roots.next)):
        if pair is not None:
            data |= {f"{name}-cert.pem": pair.certificate_pem, f"{name}-key.pem": pair.key_pem}
    if roots.old is not None:
        data[_OLD] = pem_of(roots.old)
    return data


def load(data: Mapping[str, bytes]) -> Roots:
    """Return what the Secret's data says.

    Raises:
        SecretError: A key is missing or cannot be read.
    """
    active = _pair(data, _ACTIVE)
    if active is None:
        raise SecretError("root-cert.pem and root-key.pem are missing")
    try:
        old = load_certificate(data[_OLD]) if _OLD in data else None
        since = (
            datetime.fromisoformat(data[_SINCE].decode()) if _SINCE in data else active.certificate.not_valid_before_utc
        )
    except ValueError as error:
        raise SecretError(f"{_OLD} or {_SINCE}: {error}") from error
    return Roots(active, since, _pair(data, _NEXT), old)


def _pair(data: Mapping[str, bytes], name: str) -> Pair | None:
    certificate, key = data.get(f"{name}-cert.pem"), data.get(f"{name}-key.pem")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SecretError(f"of {name}-cert.pem and {name}-key.pem only one is there")
    try:
        return load_pair(certificate, key)
    except ValueError as error:
        raise SecretError(f"{name}-cert.pem, {name}-key.pem: {error}") from error
