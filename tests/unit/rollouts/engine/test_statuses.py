"""A status is written when it says something new; numbers alone as often as the API server should bear."""

from __future__ import annotations

import pytest

from rollouts.api.status import Phase, WeightStatus
from rollouts.engine.cache import Cache
from rollouts.engine.gather import subject_of
from rollouts.engine.kube import ConflictError
from rollouts.engine.statuses import Statuses

KEY = ("shop", "payment")


class World:
    """One Rollout at an API server, and a clock."""

    def __init__(self):
        self.now, self.writes, self.gone = 1000.0, 0, False
        self.cache = Cache()
        metadata = {"namespace": "shop", "name": "payment", "uid": "0123456789", "resourceVersion": "1"}
        self.body = {
            "metadata": metadata,
            "spec": {"workloadRef": {"name": "payment"}},
            "status": {"phase": "Progressing"},
        }
        self.cache.put("rollouts", self.body)
        self.statuses = Statuses(self, self.cache, lambda: self.now)

    async def request(self, _method, _path, *, body):
        if self.gone:
            return None
        self.writes += 1
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(1 + self.writes)}}

    async def write(self, *, releases=1, **changes):
        """Write the present status with changes, as the next pass would."""
        body = self.statuses.newest(KEY)
        subject = subject_of(body)
        status = subject.status.model_copy(update=changes)
        await self.statuses.write(KEY, body, subject, status, releases=releases)
        self.cache.put("rollouts", self.statuses.newest(KEY))


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(("releases", "seconds"), [(1, 1), (20, 1), (100, 5), (500, 25)])
@pytest.mark.parametrize("number", [{"message": "judges {}"}, {"weight": "actual"}])
async def test_numbers_alone_are_written_more_rarely_where_there_are_many_releases(world, releases, seconds, number):
    for tenth in range(31):
        world.now = 1000.0 + tenth * seconds / 10
        changes = {name: WeightStatus(actual=tenth / 10) if name == "weight" else f"{tenth}" for name in number}
        await world.write(releases=releases, **changes)
    assert world.writes == 4


async def test_what_happened_is_written_at_once(world):
    await world.write(releases=500, message="judges 10 %")
    await world.write(releases=500, phase=Phase.ROLLING_BACK)
    await world.write(releases=500, weight=WeightStatus(configured=10))
    await world.write(releases=500, weight=WeightStatus(configured=10, actual=9.5))
    assert world.writes == 3
    assert world.statuses.written(KEY)["weight"]["configured"] == 10


async def test_the_same_is_not_written_again(world):
    await world.write(message="judges 10 %")
    world.now += 60
    await world.write(message="judges 10 %")
    assert world.writes == 1


async def test_our_own_write_counts_until_the_watch_brings_something_newer(world):
    subject = subject_of(world.body)
    status = subject.status.model_copy(update={"phase": Phase.HEALTHY})
    await world.statuses.write(KEY, world.body, subject, status, releases=1)
    assert world.statuses.newest(KEY)["status"]["phase"] == "Healthy"
    world.cache.put("rollouts", {**world.body, "metadata": {**world.body["metadata"], "resourceVersion": "9"}})
    assert world.statuses.newest(KEY)["status"]["phase"] == "Progressing"


async def test_a_rollout_that_is_gone_is_dropped(world):
    world.gone = True
    with pytest.raises(ConflictError, match="is gone"):
        await world.write(phase=Phase.HEALTHY)
    assert KEY not in world.cache.rollouts
