"""Prometheus' own programs, built on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

BUILDER = Path(__file__).parents[2] / "tools" / "prometheus" / "build.py"


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs promtool; what it says is in the result."""
    found = subprocess.run([sys.executable, str(BUILDER), "promtool"], stdout=subprocess.PIPE, check=True, text=True)
    program = found.stdout.strip()

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *args], capture_output=True, text=True, check=False)

    return run
