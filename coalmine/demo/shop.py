"""Where the shop's programs and manifests are, and the manifests as the demo commits them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coalmine.demo.releases import set_env

__all__ = ["NAMESPACE", "PAYMENT_MANIFEST", "manifests", "shop_folder"]

NAMESPACE: Final = "shop"
PAYMENT_MANIFEST: Final = "payment.yaml"
_WORKING_DIR: Final = "workingDir: /app"


def shop_folder() -> Path:
    """Return the folder of the shop: in a checkout below ``examples/``, else inside of this package.

    Raises:
        FileNotFoundError: It is in neither place.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "examples" / "shop", here.parent / "shop"):
        if (folder / "payment.py").is_file():
            return folder
    raise FileNotFoundError("the shop's programs (examples/shop) are not installed; reinstall coalmine")


def manifests(folder: Path, rate: float) -> dict[str, str]:
    """Return the shop's first commit: file name to text.

    A pod is a process here, so the folder of its image, ``/app``, becomes the folder of the programs.

    Args:
        folder: The shop's folder.
        rate: Requests a second of the load.
    """
    files = {path.name: path.read_text() for path in sorted((folder / "deploy").glob("*.yaml"))}
    files = {name: text.replace(_WORKING_DIR, f"workingDir: {folder}") for name, text in files.items()}
    return files | {"load.yaml": set_env(files["load.yaml"], "RATE", f"{rate:g}")}
