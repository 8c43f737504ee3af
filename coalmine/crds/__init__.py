"""CustomResourceDefinitions and the policies beside them, generated from the pydantic models."""

from __future__ import annotations

from coalmine.crds.cli import crds
from coalmine.crds.files import documents, files

__all__ = ["crds", "documents", "files"]
