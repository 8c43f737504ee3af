"""What was measured, as a ConfigMap and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.api.rollout import RolloutStatus
from rollouts.core.observed import Subject
from rollouts.engine.checkpoint import MOST_BYTES, Checkpoint, CheckpointStore, TooLargeError

SUBJECT = Subject("payment", "shop", "uid-1", 1, None, "", RolloutStatus())


class Kube:
    """Keeps what it is sent, as the API server would."""

    def __init__(self):
        self.found = None

    async def request(self, method, path, *, body=None, **_):
        if method == "GET":
            return self.found
        self.found = body if method == "PATCH" else None
        return self.found


@given(
    st.text(),
    st.none() | st.lists(st.floats(0.1, 1e5), max_size=5).map(tuple),
    st.binary(max_size=2000),
    st.tuples(st.floats(0, 2e9), st.integers(0, 2**40), st.integers(0, 2**40)),
    st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False))),
)
def test_what_is_written_is_read(release, bounds, ledger, share, values):
    written = Checkpoint(release, bounds, ledger, share, values)
    assert Checkpoint.read(written.manifest(SUBJECT)) == written


async def test_another_releases_measurements_are_not_taken_up():
    store = CheckpointStore(Kube())
    assert await store.load(SUBJECT, "one") == Checkpoint("one")
    await store.save(SUBJECT, Checkpoint("one", ledger=b"counts"))
    assert (await store.load(SUBJECT, "one")).ledger == b"counts"
    assert await store.load(SUBJECT, "two") == Checkpoint("two")
    await store.delete(SUBJECT)
    assert await store.load(SUBJECT, "one") == Checkpoint("one")


@pytest.mark.parametrize(
    "spoilt", [{}, {"data": {"head": "{}"}}, {"data": {"head": "no"}, "binaryData": {"values": "%"}}]
)
async def test_what_somebody_else_wrote_is_not_taken_up(spoilt):
    kube = Kube()
    store = CheckpointStore(kube)
    await store.save(SUBJECT, Checkpoint("one", ledger=b"counts"))
    kube.found = {**kube.found, "data": {}, "binaryData": {}, **spoilt}
    assert await store.load(SUBJECT, "one") == Checkpoint("one")


def test_more_than_a_config_map_holds_is_refused_in_words():
    with pytest.raises(TooLargeError, match="more than a ConfigMap holds"):
        Checkpoint("one", ledger=b"x" * (MOST_BYTES + 1)).manifest(SUBJECT)
