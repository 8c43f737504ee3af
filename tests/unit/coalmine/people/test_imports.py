"""The command line starts with little: heavy modules are imported by the commands that need them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp", "asyncio", "grpc", "httpx", "importlib.metadata", "kopf", "kubernetes", "numpy", "pydantic", "rich", "scipy", "slack_sdk",
}  # fmt: skip
LATER = {"http.client", "subprocess", "yaml"}
"""Needed to talk to a cluster, not to begin."""


def imported(statement):
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    return set(
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    )


def test_the_command_itself_imports_nothing_heavy():
    assert not imported("import coalmine.cli") & (HEAVY | LATER)


@pytest.mark.parametrize("module", ["looking", "acting", "undoing", "following"])
def test_no_command_for_releases_imports_models_or_clients(module):
    assert not imported(f"import coalmine.people.{module}") & HEAVY


def test_a_list_imports_neither_yaml_nor_what_draws_one_rollout():
    found = imported("import coalmine.people.looking, coalmine.people.listing")
    assert not found & {"yaml", "coalmine.people.screen", "coalmine.people.watching"}
