"""The shop: where its programs and manifests are, and the manifests as the demo commits them.

``python3 -m coalmine.demo.shop payment`` runs one of its programs: what the image's entry point would be. A pod of the
local cluster is a process, so its manifest can name neither an image's folder nor a path of this machine.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Final

from coalmine.demo.releases import set_env

__all__ = ["NAMESPACE", "PAYMENT_MANIFEST", "manifests", "shop_folder"]

NAMESPACE: Final = "shop"
PAYMENT_MANIFEST: Final = "payment.yaml"
_PROGRAMS: Final = ("frontend", "load", "payment")


def shop_folder() -> Path:
    """Return the folder of the shop: in a checkout below ``examples/``, else inside of this package.

    Raises:
        FileNotFoundError: It is in neither place.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "examples" / "shop", here.parent / "shop_files"):
        if (folder / "payment.py").is_file():
            return folder
    raise FileNotFoundError("the shop's programs (examples/shop) are not installed; reinstall coalmine")


def manifests(folder: Path, rate: float) -> dict[str, str]:
    """Return the shop's first commit: file name to text.

    Args:
        folder: The shop's folder.
        rate: Requests a second of the load.
    """
    files = {path.name: path.read_text() for path in sorted((folder / "deploy").glob("*.yaml"))}
    return files | {"load.yaml": set_env(files["load.yaml"], "RATE", f"{rate:g}")}


def main(arguments: list[str]) -> None:
    """Run the program that the one argument names."""
    if len(arguments) != 1 or arguments[0] not in _PROGRAMS:
        sys.exit(f"usage: python3 -m coalmine.demo.shop {'|'.join(_PROGRAMS)}")
    folder = shop_folder()
    sys.path.insert(0, str(folder))
    runpy.run_path(str(folder / f"{arguments[0]}.py"), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
