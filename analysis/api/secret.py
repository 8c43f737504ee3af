"""How settings name a secret value."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crds.base import Resource, ResourceName

__all__ = ["SecretKeyRef"]


class SecretKeyRef(Resource):
    """One key of a Secret in the Rollout's namespace."""

    name: Annotated[ResourceName, Field(description="Name of the Secret.")]
    key: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The key in its data.")
    ]
