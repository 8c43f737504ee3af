"""What a transition says in words: a title, a text, and what was known. Pure."""

from __future__ import annotations

import datetime as dt
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.commitstatus import REPOSITORY_ANNOTATION
from rollouts.api.wording import rendered
from rollouts.api.writeback import COMMIT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.notify.base import Transition

__all__ = ["Message", "commit_of", "cut", "message_of", "values_of"]

_LOG = logging.getLogger(__name__)
_TITLE: Final = "{{ namespace }}/{{ name }}: {{ headline }}"
_TEXT: Final = "{{ note }}"
_MOST_EVIDENCE: Final = 6
_OVER: Final = frozenset({"Healthy", "Initializing", "RolledBack"})
_LONGEST: Final = 8192
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Message:
    """A message that any service can show.

    Attributes:
        title: One line.
        text: Below it.
        facts: Names and values.
        link: Where more is to be seen; empty where nobody configured it.
        warns: Whether somebody should look.
        at: Unix seconds.
    """

    title: str
    text: str
    facts: tuple[tuple[str, str], ...]
    link: str
    warns: bool
    at: float

    def plain(self) -> str:
        """Return all below the title as plain text."""
        facts = "\n".join(_line(name, value) for name, value in self.facts)
        return "\n\n".join(part for part in (self.text, facts, self.link) if part) + "\n"


def _line(name: str, value: str) -> str:
    return f"{name}: {value}" if "\n" not in value else "\n  ".join((f"{name}:", *value.splitlines()))


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def commit_of(transition: Transition) -> str:
    """Return the commit that the template came from; empty where nobody says."""
    value = transition.annotations.get(COMMIT_ANNOTATION, "").strip().lower()
    return value if _COMMIT.fullmatch(value) else ""


def values_of(transition: Transition, link: str | None) -> dict[str, Any]:
    """Return what templates can name.

    Args:
        transition: What happened.
        link: The template of the link.
    """
    status = transition.status
    canary, stable, weight = status.get("canary") or {}, status.get("stable") or {}, status.get("weight") or {}
    values = {
        "namespace": transition.namespace,
        "name": transition.name,
        "number": transition.number,
        "reason": transition.reason,
        "type": transition.type,
        "headline": _headline(transition.reason),
        "note": transition.note,
        "at": dt.datetime.fromtimestamp(transition.at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **{key: status.get(key, "") for key in ("phase", "message", "step", "verdict", "summary", "need")},
        "weight": {key: weight.get(key) for key in ("configured", "acknowledged", "actual")},
        "evidence": status.get("evidence") or [],
        "revision": canary.get("revision", ""),
        "stable": stable.get("revision", ""),
        "images": (canary or stable).get("images") or [],
        "commit": commit_of(transition),
        "repository": transition.annotations.get(REPOSITORY_ANNOTATION, ""),
        "annotations": transition.annotations,
        "labels": transition.labels,
        "status": status,
    }
    return {**values, "link": _filled(link, values, "") if link else ""}


def message_of(
    transition: Transition, *, link: str | None = None, title: str | None = None, text: str | None = None
) -> Message:
    """Return what is told of a transition.

    Args:
        transition: What happened.
        link: Template of the address where more is to be seen.
        title: Template of the title; a standing one without it.
        text: Template of the text.
    """
    values = values_of(transition, link)
    return Message(
        title=" ".join(_filled(title or _TITLE, values, _TITLE).split()),
        text=_filled(text or _TEXT, values, _TEXT),
        facts=() if text else tuple(_facts(values)),
        link=values["link"],
        warns=transition.type == "Warning",
        at=transition.at,
    )


def _filled(template: str, values: Mapping[str, Any], instead: str) -> str:
    """Fill a template in. One that fails with these values says so in the message, which is told nevertheless."""
    try:
        return cut(rendered(template, values), _LONGEST)
    except Exception as error:  # noqa: BLE001 - templates are people's
        _LOG.warning("%s/%s: template: %s", values.get("namespace"), values.get("name"), error)
        return f"{rendered(instead, values)} (the template failed: {error})" if instead else ""


def _headline(reason: str) -> str:
    """Return ``Rollback started`` of ``RollbackStarted``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", reason).lower()
    return words[:1].upper() + words[1:]


def _facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("Revision", _revisions(values)), ("Images", ", ".join(values["images"]))]
    weight = values["weight"]
    if values["phase"] not in _OVER and weight["configured"]:
        actual = weight["actual"]
        measured = "" if actual is None else f", {actual} % measured"
        facts.append(("Canary's share", f"{weight['configured']} %{measured}"))
        facts.append(("Step", values["step"]))
    facts += [("Commit", values["commit"])]
    lines = [e.get("words", "") for e in values["evidence"][:_MOST_EVIDENCE]]
    facts.append(("Evidence", "\n".join(filter(None, lines))))
    return [(name, value) for name, value in facts if value]


def _revisions(values: Mapping[str, Any]) -> str:
    new, old = values["revision"], values["stable"]
    return f"{new}, stable is {old}" if new and old and new != old else str(new or old)
