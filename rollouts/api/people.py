"""The controller's configuration of approvals: who people are in different places, and which programs may call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from crds.base import Resource, ResourceName

__all__ = ["Approvals", "Caller", "Person"]

_Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Person(Resource):
    """One human being, who has several names. Without this, nobody can tell whether two names are two people."""

    name: Annotated[_Name, Field(description="For people.")]
    users: Annotated[tuple[_Name, ...], Field(description="Their Kubernetes users.")] = ()
    slack_users: Annotated[tuple[_Name, ...], Field(description="Their Slack ids.")] = ()
    emails: Annotated[tuple[_Name, ...], Field(description="As commits and annotations name them.")] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of their names."""
        return frozenset((self.name, *self.users, *self.slack_users, *self.emails))


class Caller(Resource):
    """A program that decides by signed calls."""

    name: Annotated[_Name, Field(description="As spec's approvers.callers name it.")]
    secret_file: Annotated[str, Field(min_length=1, description="File with its key: whsec_ and base64.")]
    namespaces: Annotated[
        tuple[ResourceName, ...], Field(description="Where it may decide; everywhere by default.")
    ] = ()


class Approvals(Resource):
    """Approval gates."""

    people: Annotated[tuple[Person, ...], Field(description="Who has which names.")] = ()
    callers: Annotated[tuple[Caller, ...], Field(description="Programs that may call POST /approvals/….")] = ()

    @model_validator(mode="after")
    def _names_are_one_persons(self) -> Approvals:
        seen: dict[str, str] = {}
        for person in self.people:
            for name in sorted(person.names):
                if name in seen:
                    raise ValueError(
                        f"approvals.people: {name!r} is both {seen[name]} and {person.name}: keep it in one"
                    )
                seen[name] = person.name
        callers = [caller.name for caller in self.callers]
        if len(set(callers)) < len(callers):
            raise ValueError("approvals.callers: two have the same name: give each its own")
        return self
