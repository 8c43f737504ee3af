"""Which Rollouts are looked at when something changes."""

from __future__ import annotations

import inspect

import pytest

from rollouts.engine.cache import Cache
from rollouts.handlers.watches import interested, watches


def rollout(name, **spec):
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": name},
        "spec": {"workloadRef": {"name": name}, **spec},
    }


@pytest.fixture
def cache():
    cache = Cache()
    for body in (rollout("payment"), rollout("frontend", dependsOn=["payment"]), rollout("ledger")):
        cache.put("rollouts", body)
    return cache


@pytest.mark.parametrize(
    ("event", "seen"),
    [("MODIFIED", {"payment", "frontend"}), ("ADDED", {"payment", "frontend", "ledger"}), ("DELETED", {"payment", "frontend", "ledger"})],
)  # fmt: skip
def test_who_waits_for_a_rollout_hears_of_it_and_who_may_be_its_rival_when_it_comes_or_goes(cache, event, seen):
    found = list(interested(cache, "rollouts", event, rollout("payment")))
    assert sorted(found) == sorted(("shop", name) for name in seen)


def test_a_deployment_is_its_rollouts(cache):
    body = {"metadata": {"namespace": "shop", "name": "ledger"}}
    assert list(interested(cache, "deployments", "MODIFIED", body)) == [("shop", "ledger")]


def test_every_handler_runs_in_the_loop_of_the_decisions(cache):
    """kopf runs a plain function in a thread: the cache would change while a decision reads it."""
    registry = watches(cache, lambda _: None, lambda _: None, lambda: None)
    handlers = [*registry._indexing.get_all_handlers(), *registry._watching.get_all_handlers()]
    assert len(handlers) == 16
    assert all(inspect.iscoroutinefunction(handler.fn) for handler in handlers)
