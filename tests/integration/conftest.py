"""Real Kubernetes for the integration tests: one for all that start no mesh, and one for each file that does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reading.objects import Objects
from rich.console import Console

from coalmine.local.cluster import LocalCluster
from coalmine.local.errors import KubectlError
from coalmine.local.progress import ConsoleProgress
from rollouts.dashboard.pages import STATIC

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from coalmine.local.kube import Kubectl

ROOT = Path(__file__).parents[2]
POD_RANGE = "127.11.0.0/16"
"""Of the first cluster; the next ones take others."""
LOG_LINES = 15
FIRST = ("test_readme.py", "release", "identity")
"""Files and folders that take the most minutes."""


class Clusters:
    """The clusters of a process of pytest: the plain one, and at most one beside it that has pods with sidecars.

    Every sidecar takes inotify instances, of which a user has 128 where nobody has raised that.
    """

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder
        self._plain: LocalCluster | None = None
        self._stack: LocalCluster | None = None

    def plain(self) -> LocalCluster:
        """Return etcd, apiserver, controller-manager, node agent, our custom resources and roles."""
        if self._plain is None:
            self._plain = self._new()
            self._plain.up(bare=True)
        return self._plain

    def stack(self) -> LocalCluster:
        """Return Kubernetes with the mesh and the controller."""
        if self._stack is None:
            self._stack = self._new()
            self._stack.up()
        return self._stack

    @contextlib.contextmanager
    def alone(self) -> Iterator[LocalCluster]:
        """Give a plain one to somebody who starts a mesh: it would find what another mesh left."""
        self._end_stack()
        cluster = self._new()
        try:
            cluster.up(bare=True)
            yield cluster
        finally:
            cluster.down(delete=True)

    def end(self) -> None:
        self._end_stack()
        if self._plain is not None:
            self._plain.down(delete=True)

    def _end_stack(self) -> None:
        if self._stack is not None:
            self._stack.down(delete=True)
            self._stack = None

    def _new(self) -> LocalCluster:
        progress = ConsoleProgress(Console(stderr=True))
        return LocalCluster(f"test-{uuid.uuid4().hex[:6]}", self._make_folder(), pod_cidr=POD_RANGE, progress=progress)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: at the end one worker would run it alone. Those that share a cluster stay together."""
    items.sort(key=lambda item: next((n for n, part in enumerate(FIRST) if part in item.path.parts), len(FIRST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add to a failure what was going on in its cluster, which nobody can ask afterwards."""
    report = yield
    if report.failed:
        clusters = [c for c in getattr(item, "funcargs", {}).values() if isinstance(c, LocalCluster)]
        report.sections += [("cluster", state(cluster)) for cluster in clusters[:1]]
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell of what passed the second time why it failed the first time."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed once: {report.nodeid}", sep="-")
        terminalreporter.line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.line(f"--- {title}\n{text}")


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


@pytest.fixture(scope="session")
def chromium() -> str:
    """The headless browser's program."""
    return _run("tests/tools/chromium/build.py")


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, which finds what makes pages hard to use for some people."""
    return Path(_run("tests/tools/chromium/build.py", "axe")).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the dashboard's pages; they are built if nobody has."""
    if not (STATIC / "index.html").exists():
        _run("tools/dashboard/build.py")
    return STATIC


def _run(script: str, *args: str) -> str:
    command = [sys.executable, str(ROOT / script), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Whoever needs another cluster than the plain one asks for it here."""
    made = Clusters(lambda: tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def own_cluster(clusters: Clusters) -> Iterator[LocalCluster]:
    """What ``cluster`` is where files start a mesh."""
    with clusters.alone() as alone:
        yield alone


@pytest.fixture(scope="module")
def cluster(clusters: Clusters) -> LocalCluster:
    """The plain cluster, which all tests share that do not ask for another one."""
    return clusters.plain()


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster) -> Kubectl:
    """The real kubectl against the cluster: ``kubectl("get", "pods", "-o", "json", stdin=None) -> stdout``."""
    return cluster.kubectl()


@pytest.fixture(scope="module")
def live(cluster: LocalCluster) -> Iterator[Objects]:
    """The cluster's objects, for tests that look at them time and again."""
    found = Objects(cluster)
    yield found
    found.close()


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace that takes pods, deleted with all it holds afterwards."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=120s")
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
        kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=120s")
        return name

    yield make
    for name in made:
        kubectl("delete", "namespace", name, "--wait=false")
