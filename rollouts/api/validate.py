"""From a Rollout as the API server returns it to its spec. The controller and the linter both come through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from crds.explain import explain
from rollouts.api.rollout import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvalidRollout", "parse_rollout"]


class InvalidRollout(ValueError):  # noqa: N818 - it reads as what it is about
    """A Rollout's spec cannot be used.

    Attributes:
        problems: One sentence for each thing that is wrong, with the field's path and the fix.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_rollout(obj: Mapping[str, Any]) -> RolloutSpec:
    """Return the spec of a Rollout, with every default filled in.

    Args:
        obj: The whole object (``apiVersion``, ``kind``, ``metadata``, ``spec``).

    Raises:
        InvalidRollout: The spec is missing or wrong; the message says all that is.
    """
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        raise InvalidRollout(("spec is missing: write at least spec.workloadRef.name",))
    try:
        return RolloutSpec.model_validate(_without_nulls(spec))
    except ValidationError as error:
        raise InvalidRollout(explain(error, RolloutSpec)) from None


def _without_nulls(value: Any) -> Any:
    """Leave nulls out, as the API server does: a null field is an absent one."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
