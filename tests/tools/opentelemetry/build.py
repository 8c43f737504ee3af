"""Gets the OpenTelemetry SDK that the tests' pods run with, once for each set of versions, and prints where it is.

It lies in the user's cache, away from our own packages: ``opentelemetry-proto`` and ``xds-protos`` (OTLP 0.9) install files of
the same names, and whichever comes last breaks the other.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
from rich.console import Console

from coalmine.local.binaries.cache import locked
from coalmine.local.progress import ConsoleProgress

REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def obtain() -> Path:
    """Return the folder to put on ``PYTHONPATH``, filled now if it is not there yet."""
    version = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = Path(platformdirs.user_cache_dir("coalmine")) / "opentelemetry" / version
    sdk = folder / f"python{sys.version_info.major}.{sys.version_info.minor}"
    progress = ConsoleProgress(Console(stderr=True))
    if not sdk.exists():
        with locked(folder, progress):
            if not sdk.exists():
                with progress.task("installing the OpenTelemetry SDK for the tests (seconds, once)"):
                    install(sdk)
    return sdk


def install(sdk: Path) -> None:
    """Install it; a half-filled folder is never seen under its name."""
    with tempfile.TemporaryDirectory(prefix=".install-", dir=sdk.parent) as scratch:
        target = Path(scratch) / "sdk"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--requirement", str(REQUIREMENTS), "--target", str(target)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        shutil.move(target, sdk)


if __name__ == "__main__":
    print(obtain())  # noqa: T201 - the answer
