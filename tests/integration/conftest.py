"""A real Kubernetes for the integration tests: one per file, so that no mesh finds what another one left."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from coalmine.local.cluster import LocalCluster
from coalmine.local.errors import KubectlError
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from coalmine.local.kube import Kubectl

FIRST_POD_RANGE = "127.11.0.0/16"
LOG_LINES = 15


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add to a failure what was going on in its cluster, which nobody can ask afterwards."""
    report = yield
    if report.failed:
        clusters = [c for c in getattr(item, "funcargs", {}).values() if isinstance(c, LocalCluster)]
        report.sections += [("cluster", state(cluster)) for cluster in clusters[:1]]
    return report


def state(cluster: LocalCluster) -> str:
    """Return the pods, the last events, and the ends of all logs."""
    found = []
    for asked in (("pods", "-o", "wide"), ("events", "--sort-by=.metadata.creationTimestamp")):
        try:
            found += cluster.kubectl()("get", *asked, "-A", "--request-timeout=10s").splitlines()[-40:]
        except KubectlError as error:
            found.append(str(error))
    for log in sorted(cluster.layout.root.rglob("*.log")):
        found += [
            f"==> {log.relative_to(cluster.layout.root)}",
            *log.read_text(errors="replace").splitlines()[-LOG_LINES:],
        ]
    return "\n".join(found)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A bare cluster: etcd, apiserver, controller-manager, node agent, our custom resources and roles."""
    state: Path = tmp_path_factory.mktemp("cluster")
    progress = ConsoleProgress(Console(stderr=True))
    cluster = LocalCluster(f"test-{uuid.uuid4().hex[:6]}", state, pod_cidr=FIRST_POD_RANGE, progress=progress)
    try:
        cluster.up(bare=True)
        yield cluster
    finally:
        cluster.down(delete=True)


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster) -> Kubectl:
    """The real kubectl against the cluster: ``kubectl("get", "pods", "-o", "json", stdin=None) -> stdout``."""
    return cluster.kubectl()


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace that takes pods, deleted with all it holds afterwards."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def make_namespace(kubectl: Kubectl) -> Iterator[Callable[..., str]]:
    """Makes further namespaces, with labels such as ``**{"coalmine.dev/inject": "enabled"}``."""
    made: list[str] = []

    def make(**labels: str) -> str:
        name = f"t-{uuid.uuid4().hex[:8]}"
        kubectl("create", "namespace", name)
        made.append(name)
        if labels:
            kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in labels.items()))
        kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
        return name

    yield make
    for name in made:
        kubectl("delete", "namespace", name, "--wait=false")
