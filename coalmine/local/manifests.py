"""The manifests that a new cluster gets: custom resource definitions, and what goes with them."""

from __future__ import annotations

from pathlib import Path

import coalmine

__all__ = ["companions", "custom_resources"]

_PACKAGE = Path(coalmine.__file__).parent


def custom_resources() -> tuple[Path, ...]:
    """Return the files of the custom resource definitions."""
    return _files("crds", "*.yaml")


def companions() -> tuple[Path, ...]:
    """Return the files with the rights of controller and mesh, and the policies that refuse unknown fields."""
    return (*_files("deploy", "*/rbac.yaml"), *_files("deploy", "*/unknown-fields.yaml"))


def _files(folder: str, pattern: str) -> tuple[Path, ...]:
    # The policies are part of the package in a wheel; in a checkout they, and the definitions always, lie beside it.
    for root in (_PACKAGE, _PACKAGE.parent):
        if found := sorted((root / folder).glob(pattern)):
            return tuple(found)
    return ()
