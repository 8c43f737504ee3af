"""Rollouts as the controller writes them, one for each situation (made by the small cluster of tests/unit/rollouts/core)."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

ROLLOUTS = json.loads((Path(__file__).parent / "rollouts.json").read_text())


@pytest.fixture
def rollout():
    """Return a Rollout by the name of its situation."""
    return lambda situation, **status: {
        **copy.deepcopy(ROLLOUTS[situation]),
        "status": {**copy.deepcopy(ROLLOUTS[situation]["status"]), **status},
    }


@pytest.fixture
def situations():
    """The names."""
    return list(ROLLOUTS)
