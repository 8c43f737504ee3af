"""The applier, the watches and the manifests against a real apiserver, with real git and kubectl."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coalmine.demo.gitops import Applier, Repository
from coalmine.demo.journal import Acknowledged, PhaseChanged, WeightSet
from coalmine.demo.kubectl import Kubectl
from coalmine.demo.releases import BAD_ERRORS, write_release
from coalmine.demo.shop import PAYMENT_MANIFEST, manifests, shop_folder
from coalmine.demo.watching import Observatory
from coalmine.local.cluster import LocalCluster
from rollouts.api.rollout import Phase

pytestmark = pytest.mark.integration

SECONDS = 30


@pytest.fixture
def kube(cluster: LocalCluster, namespace: str) -> Kubectl:
    return Kubectl(cluster.kubectl().program, cluster.kubeconfig, cluster.layout.kubectl_cache, namespace)


@contextlib.asynccontextmanager
async def running(*coroutines) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(c) for c in coroutines]
    try:
        async with asyncio.timeout(SECONDS):
            yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read(kube: Kubectl, *what: str) -> dict:
    done = await kube("get", *what, "-o", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def config(value: str) -> dict[str, str]:
    return {"map.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map}}\ndata: {{key: '{value}'}}\n"}


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    await repository.create()
    await repository.commit(config("one"), "first")
    return repository


async def test_commits_are_applied_and_what_was_deleted_comes_back(
    kube: Kubectl, repository: Repository, tmp_path: Path
) -> None:
    trouble: list[str] = []
    applier = Applier(repository, tmp_path / "clone", kube, trouble=trouble.append, poll=0.05, drift=0.2)
    async with running(applier.run()):
        await applier.await_applied(await repository.head())
        await applier.await_applied(await repository.commit(config("two"), "second"))
        assert (await read(kube, "configmap", "map"))["data"] == {"key": "two"}
        assert (await kube("delete", "configmap", "map")).code == 0
        done = await kube("wait", "--for=create", "configmap/map", "--timeout=20s")
        assert done.code == 0, done.err
    assert trouble == []


async def test_a_field_that_somebody_else_took_is_reported_not_forced(
    kube: Kubectl, repository: Repository, tmp_path: Path
) -> None:
    trouble: asyncio.Queue[str] = asyncio.Queue()
    applier = Applier(repository, tmp_path / "clone", kube, trouble=trouble.put_nowait, poll=0.05, drift=0.2)
    async with running(applier.run()):
        await applier.await_applied(await repository.head())
        assert (await kube("patch", "configmap", "map", "-p", '{"data":{"key":"mine"}}')).code == 0
        assert "conflict" in (await trouble.get()).lower()
        assert (await read(kube, "configmap", "map"))["data"] == {"key": "mine"}


async def test_the_shop_s_manifests_are_accepted(kube: Kubectl, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "shop")
    await repository.create()
    files = manifests(shop_folder(), 50)
    await repository.commit(files, "Open the shop")
    await repository.commit({PAYMENT_MANIFEST: write_release(files[PAYMENT_MANIFEST], BAD_ERRORS)}, BAD_ERRORS.title)
    done = await kube(
        "apply", "--server-side", "--dry-run=server", "--filename", str(repository.folder / "00-namespace.yaml")
    )
    assert done.code == 0, done.err
    texts = [(repository.folder / name).read_text() for name in files if name != "00-namespace.yaml"]
    (tmp_path / "all.yaml").write_text("\n---\n".join(texts).replace("namespace: shop", f"namespace: {kube.namespace}"))
    done = await kube("apply", "--server-side", "--dry-run=server", "--filename", str(tmp_path / "all.yaml"))
    assert done.code == 0, done.err


ROLLOUT = {
    "apiVersion": "coalmine.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "payment"},
    "spec": {"workloadRef": {"name": "payment"}},
}
SPLIT = {
    "apiVersion": "mesh.coalmine.dev/v1alpha1",
    "kind": "TrafficSplit",
    "metadata": {"name": "payment"},
    "spec": {
        "service": "payment",
        "backends": [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}],
    },
}


async def test_what_the_cluster_says_becomes_moments(kube: Kubectl, tmp_path: Path) -> None:
    trouble: list[str] = []
    seen = Observatory(kube, "payment", lambda _: None, trouble.append)
    async with running(seen.run()):
        for item in (ROLLOUT, SPLIT):
            (tmp_path / "item.json").write_text(json.dumps(item))
            done = await kube("create", "--filename", str(tmp_path / "item.json"))
            assert done.code == 0, done.err
        await seen.until(lambda: seen.spec is not None and seen.journal.weight_set == 10)
        rollout = {
            "status": {
                "phase": "Progressing",
                "message": "judging",
                "canary": {"revision": "a", "images": ["r/payment:v2"]},
            }
        }
        split = {
            "status": {
                "observedGeneration": 1,
                "acknowledged": {
                    "generation": 1,
                    "weights": {"payment": 90, "payment-canary": 10},
                    "time": "2026-01-01T00:00:00.250000Z",
                },
                "proxies": {"affected": 2, "acknowledged": 2},
            }
        }
        for kind, status in (("rollouts.coalmine.dev", rollout), ("trafficsplits.mesh.coalmine.dev", split)):
            done = await kube(
                "patch", kind, "payment", "--subresource=status", "--type=merge", "-p", json.dumps(status)
            )
            assert done.code == 0, done.err
        await seen.until(
            lambda: seen.journal.weight_acknowledged == 10 and seen.journal.rollout.phase is Phase.PROGRESSING
        )
    kinds = {type(moment) for moment in seen.journal.moments}
    assert kinds == {WeightSet, PhaseChanged, Acknowledged}
    assert trouble == []
