"""CustomResourceDefinitions and the policies beside them, generated from the pydantic models."""

from __future__ import annotations

from coalmine.crds.files import documents, files

__all__ = ["documents", "files"]
