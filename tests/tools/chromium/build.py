"""Gets the headless Chromium that the dashboard's tests and pictures use, once, and prints where it is.

``COALMINE_CHROMIUM`` names a program to use instead; next comes one that the machine has; else it comes from the npm package
``@sparticuz/chromium``, which carries a headless Chromium with the libraries and the font that bare machines lack.
``build.py axe`` prints where axe-core's script lies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from coalmine.local.binaries.cache import locked
from coalmine.local.progress import SilentProgress
from tools.npm import find_node, packages

PROGRAM: Final = "COALMINE_CHROMIUM"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome-headless-shell")
SOURCE: Final = Path(__file__).parent
UNPACK: Final = """
const zlib = require("zlib"), fs = require("fs"), [from, to] = process.argv.slice(1);
for (const name of ["chromium", "al2023.tar", "swiftshader.tar", "fonts.tar"])
  fs.writeFileSync(`${to}/${name}`, zlib.brotliDecompressSync(fs.readFileSync(`${from}/${name}.br`)));
"""
# What the machine itself has goes first: its libraries fit each other. The package's are for machines without them.
START: Final = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
libraries=$here
ldd "$here/chromium" | grep -q "not found" && libraries=$here:$here/lib
[ -d /usr/share/fonts ] || [ -n "$FONTCONFIG_FILE" ] || export FONTCONFIG_FILE="$here/fonts.conf"
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/chromium" "$@"
"""


def obtain() -> Path:
    """Return the program, got now if it is not there yet."""
    if named := os.environ.get(PROGRAM):
        return Path(named)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    home = packages(SOURCE, "chromium")
    program = home / "browser" / "run"
    with locked(home, SilentProgress()):
        if not program.exists():
            unpack(home / "node_modules" / "@sparticuz" / "chromium" / "bin", program.parent)
    return program


def unpack(packed: Path, folder: Path) -> None:
    """Unpack the package's archives; the script that starts the program appears last."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run([find_node().node, "-e", UNPACK, packed, folder], check=True)
    for archive in folder.glob("*.tar"):
        shutil.unpack_archive(archive, folder, filter="data")
        archive.unlink()
    fonts = folder / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">\n'
        f"<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/fontcache</cachedir></fontconfig>\n",
        encoding="utf-8",
    )
    (folder / "chromium").chmod(0o755)
    start = folder / "run.new"
    start.write_text(START, encoding="utf-8")
    start.chmod(0o755)
    start.replace(folder / "run")


def axe() -> Path:
    """Return axe-core's script."""
    return packages(SOURCE, "chromium") / "node_modules" / "axe-core" / "axe.min.js"


if __name__ == "__main__":
    print(axe() if sys.argv[1:] == ["axe"] else obtain())  # noqa: T201 - the answer
