"""The roots that the mesh trusts, as its Secret holds them, and how one takes the place of another.

No proxy may meet a certificate that it cannot check, so a root is exchanged in three steps, each of which waits until
every proxy has what the next one needs:

| phase | trusted | signs | ends when |
|---|---|---|---|
| ``steady`` | active | active | a new root is asked for, or the active one nears its end |
| ``adding`` | active, next | active | every proxy trusts both |
| ``dropping`` | active (once next), old | active | every proxy has a certificate of the active one |

The one that signs is a root of our own, or an issuing certificate that somebody plugs in (``mesh.ca.plugged``). A new one of
the same roots takes its place at once, one of other roots by the same three steps. Its copy is in our Secret: so the
mesh goes on with the last good one when the plugged-in Secret is spoilt or gone.

A proxy that cannot be reached holds it up for no longer than a certificate lives: then its own has ended anyway. The
phase is in the Secret, so a control plane that is restarted goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509

from mesh.ca.certificates import Pair, load_pair, make_root, pem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOT_LIFE", "Held", "Phase", "Roots", "SecretError", "dump", "first", "load", "next_step"]

ROOT_LIFE: Final = timedelta(days=3650)
_RENEW_BEFORE: Final = ROOT_LIFE / 10
"""A root is exchanged when this much of its life is left."""
_LAST_DAYS: Final = timedelta(days=1)
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
        next: Its roots are trusted already, and it signs next.
        old: Roots that are still trusted, and sign no more.
    """

    active: Pair = field(repr=False)
    since: datetime
    next: Pair | None = field(default=None, repr=False)
    old: tuple[x509.Certificate, ...] = ()

    @property
    def phase(self) -> Phase:
        """Where the exchange is."""
        if self.next is not None:
            return "adding"
        return "dropping" if self.old else "steady"

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """All trusted roots; those of what signs are first."""
        return tuple(dict.fromkeys([*self.active.roots, *(self.next.roots if self.next else ()), *self.old]))

    @property
    def trusted(self) -> bytes:
        """The same, PEM."""
        return b"".join(map(pem_of, self.certificates))


@dataclass(frozen=True, slots=True)
class Held:
    """What the proxies have.

    Attributes:
        trust: Every proxy holds the present trust bundle.
        leaves: Every proxy holds a certificate that the active root vouches for.
    """

    trust: bool
    leaves: bool


def first(now: datetime, plugged: Pair | None = None) -> Roots:
    """Return the roots of a new mesh."""
    return Roots(plugged or make_root(now, ROOT_LIFE), since=now)


def next_step(
    roots: Roots,
    held: Held,
    now: datetime,
    *,
    wanted: bool,
    hold: timedelta,
    leaf_life: timedelta,
    plugged: Pair | None = None,
) -> Roots:
    """Return the roots from now on; the same ones where it is not time yet.

    Args:
        roots: The present ones.
        held: What the proxies have.
        now: The time.
        wanted: Somebody asks for a new root.
        hold: How long each step lasts at least: files with the trust bundle are refreshed behind our back.
        leaf_life: How long a workload's certificate lives.
        plugged: What shall sign, where somebody plugs it in; None leaves it as it is.
    """
    if plugged is not None and (renewed := _renewed(roots, plugged, now)) is not None:
        return renewed
    lasted = now - roots.since
    # What has ended proves nothing to anybody any more: then there is nothing to wait for.
    over = lasted >= max(hold, leaf_life) or roots.active.expires <= now
    if roots.next is not None:
        done = (held.trust and lasted >= hold) or over
        return Roots(active=roots.next, since=now, old=roots.active.roots) if done else roots
    if roots.old:
        done = (held.leaves and lasted >= hold) or over
        return replace(roots, old=(), since=now) if done else roots
    if plugged is None and (wanted or _nears_its_end(roots.active, now, leaf_life)):
        return replace(roots, next=make_root(now, ROOT_LIFE), since=now)
    return roots


def _renewed(roots: Roots, plugged: Pair, now: datetime) -> Roots | None:
    """Return the roots with what is plugged in now; None where it is in them already, or must wait."""
    new = set(plugged.roots)
    if roots.next is not None:
        if new == set(roots.next.roots):
            return None if _same(roots.next, plugged) else replace(roots, next=plugged)
        if new == set(roots.active.roots):  # it was taken back
            return replace(roots, active=plugged, next=None, since=now)
        return replace(roots, next=plugged, since=now)
    if new == set(roots.active.roots):
        return None if _same(roots.active, plugged) else replace(roots, active=plugged)
    # One exchange at a time: no more roots are trusted than two need.
    return None if roots.old else replace(roots, next=plugged, since=now)


def _same(one: Pair, other: Pair) -> bool:
    return (one.certificate, one.above) == (other.certificate, other.above)


def _nears_its_end(active: Pair, now: datetime, leaf_life: timedelta) -> bool:
    left = active.expires - now
    # What was plugged in and is no longer there is used as long as it can be.
    return left < (max(2 * leaf_life, _LAST_DAYS) if active.anchors else _RENEW_BEFORE)


def dump(roots: Roots) -> dict[str, bytes]:
    """Return the Secret's data."""
    data = {_SINCE: roots.since.astimezone(UTC).isoformat(timespec="seconds").encode()}
    for name, pair in ((_ACTIVE, roots.active), (_NEXT, roots.next)):
        if pair is not None and pair.anchors:
            chain = _pem(pair.certificate, *pair.above)
            data |= {f"{name}-cert.pem": _pem(*pair.anchors), _issuer(name): chain, _issuer_key(name): pair.key_pem}
        elif pair is not None:
            data |= {f"{name}-cert.pem": pair.certificate_pem, f"{name}-key.pem": pair.key_pem}
    if roots.old:
        data[_OLD] = _pem(*roots.old)
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
        old = tuple(x509.load_pem_x509_certificates(data[_OLD])) if _OLD in data else ()
        since = (
            datetime.fromisoformat(data[_SINCE].decode()) if _SINCE in data else active.certificate.not_valid_before_utc
        )
    except ValueError as error:
        raise SecretError(f"{_OLD} or {_SINCE}: {error}") from error
    return Roots(active, since, _pair(data, _NEXT), old)


def _pair(data: Mapping[str, bytes], name: str) -> Pair | None:
    issuer = _issuer(name) in data
    first_name, key_name = (_issuer(name), _issuer_key(name)) if issuer else (f"{name}-cert.pem", f"{name}-key.pem")
    certificate, key = data.get(first_name), data.get(key_name)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SecretError(f"of {first_name} and {key_name} only one is there")
    try:
        pair = load_pair(certificate, key)
        if not issuer:
            return pair
        above = x509.load_pem_x509_certificates(certificate)[1:]
        anchors = x509.load_pem_x509_certificates(data.get(f"{name}-cert.pem", b""))
    except ValueError as error:
        raise SecretError(f"{first_name}, {key_name}: {error}") from error
    return Pair(pair.certificate, pair.key, tuple(above), tuple(anchors))


def _issuer(name: str) -> str:
    return f"{name}-issuer-cert.pem"


def _issuer_key(name: str) -> str:
    return f"{name}-issuer-key.pem"


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(map(pem_of, certificates))
