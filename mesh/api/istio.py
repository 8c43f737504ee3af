"""What VirtualService and DestinationRule share: fields that we do not implement are kept, so that they can be named.

The resources are Istio's (``networking.istio.io``, v1, v1beta1 and v1alpha3 alike); the models hold the part that the
mesh implements. ``unimplemented`` names every other field that is set, so that none is ignored in silence.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from crds.base import Resource

__all__ = ["ISTIO_GROUP", "ISTIO_VERSIONS", "IstioResource", "unimplemented"]

ISTIO_GROUP: Final = "networking.istio.io"
ISTIO_VERSIONS: Final = ("v1", "v1beta1", "v1alpha3")
"""In the order of preference."""


class IstioResource(Resource):
    """A model that accepts fields it does not know and remembers them."""

    model_config = ConfigDict(extra="allow")


def unimplemented(model: BaseModel, path: str = "spec") -> list[str]:
    """Return the paths of all fields that are set in the model and that it does not implement.

    Args:
        model: A parsed resource.
        path: The path of the model itself.
    """
    found = [f"{path}.{name}" for name in model.model_extra or {}]
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        here = f"{path}.{info.alias or name}"
        items = {"": value}
        if isinstance(value, tuple):
            items = {f"[{index}]": item for index, item in enumerate(value)}
        elif isinstance(value, dict):
            items = {f"[{key}]": item for key, item in value.items()}
        for key, item in items.items():
            if isinstance(item, BaseModel):
                found += unimplemented(item, here + key)
    return found
