"""Who is who: names of one person in different places, and how many people some names are for sure. Pure.

Names of one place (Kubernetes users, Slack ids) are different people when they differ. Names of two places may be one
person, unless the controller's configuration says whose they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rollouts.api.approval import Via

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollouts.api.approval import GateDecision
    from rollouts.api.people import Person

__all__ = ["count_people", "is_machine", "person_of", "same_person", "why_maybe_author"]

_SLACK: Final = re.compile("[UW][A-Z0-9]{5,30}")
_MACHINES: Final = "system:"


def is_machine(user: str) -> bool:
    """Return whether a Kubernetes user is no human being: service accounts, nodes, the control plane."""
    return user.startswith(_MACHINES)


def person_of(decision: GateDecision, people: Iterable[Person]) -> Person | None:
    """Return the person who decided, where the configuration knows them by that name."""
    match decision.via:
        case Via.SLACK:
            return next((p for p in people if decision.by in p.slack_users), None)
        case Via.HTTP:
            return None
        case _:
            return next((p for p in people if decision.by in p.users), None)


def same_person(one: GateDecision, other: GateDecision, people: Sequence[Person]) -> bool:
    """Return whether two decisions are one person's for sure."""
    known = person_of(one, people)
    if known is not None:
        return known == person_of(other, people)
    return _place(one) == _place(other) and one.by == other.by


def count_people(decisions: Iterable[GateDecision], people: Sequence[Person]) -> int:
    """Return how many different people the decisions are by, counting only what is certain.

    People whom the configuration knows count each, and so does each calling program. Of names that it does not know
    those of one place count, less one for each known person whose name in that place nobody has written down.
    """
    known: dict[str, Person] = {}
    unknown: dict[str, set[str]] = {}
    for decision in decisions:
        person = person_of(decision, people)
        if person is not None:
            known[person.name] = person
        else:
            unknown.setdefault(_place(decision), set()).add(decision.by)
    callers = len(unknown.pop(Via.HTTP, ()))
    strangers = 0
    for place, names in unknown.items():
        nameless = sum(1 for p in known.values() if not (p.slack_users if place == Via.SLACK else p.users))
        strangers = max(strangers, len(names) - nameless)
    return len(known) + callers + strangers


def why_maybe_author(decision: GateDecision, authors: Sequence[str], people: Sequence[Person]) -> str:
    """Return why a decision may be the author's own; empty when it is somebody else's for sure.

    Args:
        decision: The decision.
        authors: Names of whoever made the change, human beings only.
        people: Who has which names.
    """
    if not authors:
        return "the author of the change is not known: name them in annotation coalmine.dev/author of the Deployment"
    person = person_of(decision, people)
    names = person.names if person else {decision.by}
    if own := next((a for a in authors if a in names), None):
        return f"{own} made the change (excludeAuthor)"
    if person is not None or decision.via is Via.HTTP:
        return ""
    here = [a for a in authors if bool(_SLACK.fullmatch(a)) is (decision.via is Via.SLACK)]
    if len(here) == len(authors):
        return ""
    other = next(a for a in authors if a not in here)
    known = next((p for p in people if other in p.names), None)
    if known is not None and (known.slack_users if decision.via is Via.SLACK else known.users):
        return ""  # their name in this place is known, and it is another one
    return (
        f"nobody can tell whether {decision.by} is {other}, who made the change (excludeAuthor): "
        "write their names into approvals.people of the controller's configuration"
    )


def _place(decision: GateDecision) -> str:
    return decision.via.value if decision.via in {Via.SLACK, Via.HTTP} else "Kubernetes"
