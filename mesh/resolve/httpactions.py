"""Actions of a VirtualService's HTTP rules: rewrites, redirects, faults, retries and changes of headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.api.httpactions import GRPC_CODES
from mesh.ir.actions import UNCHANGED, Answer, Cors, Fault, HeaderChanges, HeaderOperations, Redirect, Rewrite
from mesh.ir.matching import StringMatch
from mesh.ir.traffic import Retries
from mesh.resolve.httpmatches import to_string
from mesh.resolve.regexes import regex_problem, rewrite_problem

if TYPE_CHECKING:
    from mesh.api import httpactions as api
    from mesh.api.wire import Percent

__all__ = ["RETRY_CONDITIONS", "answer", "changes", "cors", "fault", "redirect", "retries", "retry_words", "rewrite"]

RETRY_CONDITIONS: Final = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
"""What Envoy knows under these names, and needs nothing else for."""
_BY_STATUS: Final = "retriable-status-codes"
_AUTHORITY: Final = ("host", ":authority")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def retry_words(retry_on: str) -> tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the conditions, the statuses and the words of neither kind that ``retryOn`` holds."""
    conditions, statuses, others = [], [], []
    for word in filter(None, (w.strip() for w in retry_on.split(","))):
        if word in RETRY_CONDITIONS:
            conditions.append(word)
        elif word.isascii() and word.isdigit() and 100 <= int(word) <= 599:  # noqa: PLR2004 - HTTP's statuses
            statuses.append(int(word))
        else:
            others.append(word)
    if statuses and _BY_STATUS not in conditions:
        conditions.append(_BY_STATUS)
    return tuple(conditions), tuple(statuses), tuple(others)


def retries(retry: api.HttpRetry | None) -> Retries:
    """Return when a failed attempt is tried again."""
    if retry is None:
        return Retries()
    conditions, statuses, _ = retry_words(retry.retry_on)
    return Retries(
        attempts=retry.attempts,
        per_try_timeout=retry.per_try_timeout or None,
        retry_on=conditions or Retries().retry_on,
        statuses=statuses,
        elsewhere=retry.retry_ignore_previous_hosts is not False,
        backoff=retry.backoff,
    )


def rewrite(wanted: api.HttpRewrite | None) -> Rewrite | None:
    """Return how the path changes; None where it stays."""
    if wanted is None:
        return None
    if regex := wanted.uri_regex_rewrite:
        usable = not regex_problem(regex.match) and not rewrite_problem(regex.match, regex.rewrite)
        return Rewrite(pattern=regex.match, replacement=regex.rewrite) if usable else None
    return Rewrite(wanted.uri) if wanted.uri else None


def redirect(wanted: api.HttpRedirect, port: int) -> Redirect:
    """Return an answer that sends the caller elsewhere.

    Args:
        wanted: As written.
        port: The port that was called.
    """
    number = wanted.port
    if wanted.derive_port == "FROM_REQUEST_PORT":
        number = port
    elif wanted.derive_port == "FROM_PROTOCOL_DEFAULT":
        number = _DEFAULT_PORTS[wanted.scheme or "http"]
    return Redirect(wanted.uri, wanted.authority, number, wanted.scheme, wanted.redirect_code)


def answer(wanted: api.HttpDirectResponse) -> Answer:
    """Return the answer that is written in the rule."""
    return Answer(wanted.status, wanted.body.content if wanted.body else b"")


def fault(wanted: api.Fault | None) -> Fault | None:
    """Return the faults to put in; None where there are none."""
    if wanted is None:
        return None
    delay, abort = wanted.delay, wanted.abort
    delayed = _percent(delay.percentage, delay.percent) if delay else 0.0
    aborted = _percent(abort.percentage) if abort else 0.0
    if not delayed and not aborted:
        return None
    return Fault(
        delay=delay.fixed_delay if delay and delayed else 0.0,
        delayed=delayed,
        http_status=abort.http_status if abort and aborted else None,
        grpc_status=_grpc(abort.grpc_status) if abort and aborted else None,
        aborted=aborted,
    )


def _percent(percentage: Percent | None, percent: int | None = None) -> float:
    """Return the share; as in Istio no request is meant where none is written."""
    return percentage.value if percentage else float(percent or 0)


def _grpc(status: str | None) -> int | None:
    if status is None:
        return None
    return GRPC_CODES.index(status) if status in GRPC_CODES else int(status)


def cors(policy: api.CorsPolicy | None) -> Cors | None:
    """Return which pages of other origins may call; None where nothing is said."""
    if policy is None:
        return None
    origins = [to_string(o) for o in policy.allow_origins if not (o.regex is not None and regex_problem(o.regex))]
    older = [StringMatch("regex", ".*") if o == "*" else StringMatch("exact", o) for o in policy.allow_origin]
    return Cors(
        origins=tuple(o for o in (origins or older) if o),
        methods=policy.allow_methods,
        headers=policy.allow_headers,
        exposed=policy.expose_headers,
        max_age=policy.max_age,
        credentials=policy.allow_credentials,
        forward_unmatched=policy.unmatched_preflights != "IGNORE",
    )


def changes(wanted: api.Headers | None, authority: str = "") -> HeaderChanges:
    """Return changes of headers; to set Host is to rewrite the authority.

    Args:
        wanted: As written.
        authority: A rewritten authority, which goes before a Host header that is set.
    """
    if wanted is None:
        return HeaderChanges(authority=authority) if authority else UNCHANGED
    request = wanted.request
    written = {n.lower(): v for n, v in (request.set if request else {}).items()}
    host = next((written[name] for name in _AUTHORITY if name in written), "")
    return HeaderChanges(_operations(request), _operations(wanted.response), authority or host)


def _operations(wanted: api.HeaderOperations | None) -> HeaderOperations:
    if wanted is None:
        return HeaderOperations()
    return HeaderOperations(
        set=_values(wanted.set),
        add=_values(wanted.add),
        remove=tuple(sorted({n.lower() for n in wanted.remove} - set(_AUTHORITY))),
    )


def _values(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    lower = {name.lower(): value for name, value in values.items()}
    return tuple(sorted((name, value) for name, value in lower.items() if name not in _AUTHORITY))
