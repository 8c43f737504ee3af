"""ReferenceGrants: which references into another namespace its owners allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.api.gatewayapi import ReferenceGrantSpec
from mesh.api.httproute import GATEWAY_API_GROUP
from mesh.resolve.rules import read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.resolve.rules import Rule

__all__ = ["Grants", "read_reference_grant"]


def read_reference_grant(manifest: dict[str, Any]) -> Rule[ReferenceGrantSpec]:
    """Return a parsed ReferenceGrant."""
    return read_rule(manifest, ReferenceGrantSpec)


class Grants:
    """All ReferenceGrants.

    Args:
        rules: All of them; one that is not valid grants nothing.
    """

    def __init__(self, rules: Iterable[Rule[ReferenceGrantSpec]] = ()) -> None:
        self._to: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
        for rule in rules:
            for source in rule.spec.from_ if rule.spec else ():
                if source.group != GATEWAY_API_GROUP:
                    continue
                key = (source.kind, source.namespace, rule.ref.namespace)
                found = [
                    ("" if t.group == "core" else t.group, t.kind, t.name) for t in (rule.spec.to if rule.spec else ())
                ]
                self._to.setdefault(key, []).extend(found)

    def permit(self, source: tuple[str, str], kind: str, target: tuple[str, str]) -> bool:
        """Say whether an object may refer to one of the core group.

        Args:
            source: Kind (of the Gateway API) and namespace of what refers.
            kind: ``Service`` or ``Secret``.
            target: Namespace and name of what is referred to.
        """
        namespace, name = target
        if source[1] == namespace:
            return True
        allowed = self._to.get((*source, namespace), ())
        return any(group == "" and of == kind and named in {"", name} for group, of, named in allowed)
