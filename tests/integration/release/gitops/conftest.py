"""The appliers that people use, each as it is told of: how it applies, what it calls drift, how it prunes."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILDER = Path(__file__).parents[3] / "tools" / "gitops" / "build.py"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Manifest = dict[str, Any]


def key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"].lower(), manifest["metadata"]["name"]


class Applier(ABC):
    """One pass after the other makes the namespace what git holds."""

    def __init__(self, shop: Any, folder: Path) -> None:
        self.shop = shop
        self.folder = folder
        self.inventory: set[tuple[str, str]] = set()

    def sync(self, manifests: list[Manifest]) -> None:
        """Apply what git holds now, and prune what it holds no more."""
        wanted = [self.prepared(copy.deepcopy(m)) for m in manifests]
        self.apply(wanted)
        keys = {key(m) for m in wanted}
        for kind, name in self.inventory - keys:
            self.prune(kind, name)
        self.inventory = keys

    def prepared(self, manifest: Manifest) -> Manifest:
        """Return the manifest with what the applier adds to it."""
        return manifest

    @abstractmethod
    def apply(self, manifests: list[Manifest]) -> None:
        """Apply them."""

    def drift(self, manifests: list[Manifest]) -> str:
        """Return how the cluster differs from git, in the applier's eyes; empty where it does not."""
        return self.diff([self.prepared(copy.deepcopy(m)) for m in manifests])

    def diff(self, manifests: list[Manifest], *flags: str) -> str:
        """``kubectl diff``: exit code 0 and no word."""
        kubectl = self.shop._kubectl
        command = [str(kubectl.program), "--kubeconfig", str(kubectl.kubeconfig), "-n", self.shop.namespace, "diff"]
        text = yaml.safe_dump_all(manifests)
        done = subprocess.run([*command, *flags, "-f", "-"], input=text, capture_output=True, text=True, check=False)
        return f"{done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""

    def prune(self, kind: str, name: str) -> None:
        self.shop.kubectl("delete", kind, name, "--wait=false")

    def kubectl(self, *args: str, manifests: list[Manifest]) -> str:
        return str(self.shop.kubectl(*args, "-f", "-", stdin=yaml.safe_dump_all(manifests)))


class ClientSide(Applier):
    def apply(self, manifests: list[Manifest]) -> None:
        self.kubectl("apply", manifests=manifests)


class ServerSide(Applier):
    def apply(self, manifests: list[Manifest]) -> None:
        self.kubectl("apply", "--server-side", manifests=manifests)

    def drift(self, manifests: list[Manifest]) -> str:
        return self.diff(manifests, "--server-side")


class Replace(Applier):
    """``kubectl create`` once, ``kubectl replace`` from then on: whatever the manifest does not say is dropped."""

    def apply(self, manifests: list[Manifest]) -> None:
        new = [m for m in manifests if key(m) not in self.inventory]
        old = [m for m in manifests if key(m) in self.inventory]
        for verb, some in (("create", new), ("replace", old)):
            if some:
                self.kubectl(verb, manifests=some)


class Helm(Applier):
    """The real Helm: the old manifest, the new one and the live object merged; now and then by force, which replaces."""

    passes = 0

    def apply(self, manifests: list[Manifest]) -> None:
        chart = self.folder / "chart"
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "payment", "version": "1.0.0"}))
        (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(manifests))
        self.passes += 1
        command = [str(program("helm")), "--kubeconfig", str(self.shop.cluster.kubeconfig), "-n", self.shop.namespace]
        command += ["upgrade", "--install", "payment", str(chart)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def prune(self, kind: str, name: str) -> None:
        """Helm has done it."""


class Flux(Applier):
    """kustomize-controller: a server-side apply by force of whatever a dry run of it would change; prunes its inventory."""

    apply_flags = ("apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller")

    def prepared(self, manifest: Manifest) -> Manifest:
        owner = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
        labels = manifest["metadata"].setdefault("labels", {})
        manifest["metadata"]["labels"] = {**labels, **owner}
        return manifest

    def apply(self, manifests: list[Manifest]) -> None:
        drifted = [m for m in manifests if self._drift(m)]
        if drifted:
            self.kubectl(*self.apply_flags, manifests=drifted)

    def drift(self, manifests: list[Manifest]) -> str:
        return "".join(self._drift(self.prepared(copy.deepcopy(m))) for m in manifests)

    def _drift(self, manifest: Manifest) -> str:
        live = self.shop.get(*key(manifest))
        asked = json.loads(self.kubectl(*self.apply_flags, "--dry-run=server", "-o", "json", manifests=[manifest]))
        if live is None:
            return f"{key(manifest)} is missing; "
        looked_at = [
            ({**o, "status": None}, o["metadata"].get("labels"), o["metadata"].get("annotations"))
            for o in (live, asked)
        ]
        (before, *before_meta), (after, *after_meta) = looked_at
        same = {k: v for k, v in before.items() if k != "metadata"} == {
            k: v for k, v in after.items() if k != "metadata"
        }
        grown = live["metadata"].get("generation") != asked["metadata"].get("generation")
        return "" if same and before_meta == after_meta and not grown else f"{key(manifest)} differs; "


class Argo(Applier):
    """Argo CD: what was applied last, git and the live object compared; heals itself; prunes by tracking, in the foreground."""

    def prepared(self, manifest: Manifest) -> Manifest:
        group = manifest["apiVersion"].rpartition("/")[0]
        tracking = f"shop:{group}/{manifest['kind']}:{self.shop.namespace}/{manifest['metadata']['name']}"
        annotations = manifest["metadata"].setdefault("annotations", {})
        manifest["metadata"]["annotations"] = {**annotations, "argocd.argoproj.io/tracking-id": tracking}
        manifest["metadata"]["namespace"] = self.shop.namespace
        manifest["metadata"].setdefault("labels", {})["app.kubernetes.io/instance"] = "shop"
        return manifest

    def apply(self, manifests: list[Manifest]) -> None:
        differ = [m for m in manifests if self._drift(m)]
        if differ:
            self.kubectl("apply", "--field-manager=argocd-controller", manifests=differ)

    def drift(self, manifests: list[Manifest]) -> str:
        kinds = "deployments,services,rollouts.coalmine.dev,trafficsplits.mesh.coalmine.dev"
        tracked = json.loads(self.shop.kubectl("get", kinds, "-l", "app.kubernetes.io/instance=shop", "-o", "json"))
        extra = {key(o) for o in tracked["items"]} - {key(m) for m in manifests}
        return "".join(self._drift(self.prepared(copy.deepcopy(m))) for m in manifests) + "".join(map(str, extra))

    def _drift(self, manifest: Manifest) -> str:
        live = self.shop.get(*key(manifest))
        if live is None:
            return f"{key(manifest)} is missing; "
        before = json.loads(live["metadata"].get("annotations", {}).get(LAST_APPLIED, "{}"))
        places = three_way(before, manifest, live)
        return f"{key(manifest)}: {', '.join(places)}; " if places else ""

    def prune(self, kind: str, name: str) -> None:
        self.shop.kubectl("delete", kind, name, "--wait=false", "--cascade=foreground")


class Engine(Applier):
    """The real engine of a GitOps controller, in a process that is told when to look."""

    engine: str
    process: subprocess.Popen[str] | None = None

    def sync(self, manifests: list[Manifest]) -> None:
        self._ask("sync", manifests)

    def drift(self, manifests: list[Manifest]) -> str:
        return "; ".join(self._ask("diff", manifests))

    def apply(self, manifests: list[Manifest]) -> None:
        """The engine does it, and prunes."""

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=60)

    def _ask(self, verb: str, manifests: list[Manifest]) -> list[str]:
        prepared = [self.prepared(copy.deepcopy(m)) for m in manifests]
        for m in prepared:
            m["metadata"]["namespace"] = self.shop.namespace
        (self.folder / "all.yaml").write_text(yaml.safe_dump_all(prepared))
        if self.process is None:
            command = [str(program(self.engine)), str(self.shop.cluster.kubeconfig), self.shop.namespace]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {self.folder}\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        assert not said.get("error"), said["error"]
        return list(said["changed"] or ())


class FluxEngine(Engine):
    """fluxcd/pkg/ssa as kustomize-controller uses it."""

    engine = "flux"


class ArgoEngine(Engine):
    """argoproj/gitops-engine."""

    engine = "argo"
    prepared = Argo.prepared


def three_way(before: Any, wanted: Any, live: Any, path: str = "") -> list[str]:
    """Return the places where an apply would change the live object: what git says otherwise, or says no more."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        before = before if isinstance(before, dict) else {}
        dropped = [f"{path}.{k}" for k in before if k not in wanted and k in live]
        return dropped + [p for k, v in wanted.items() for p in three_way(before.get(k), v, live.get(k), f"{path}.{k}")]
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        old = before if isinstance(before, list) and len(before) == len(wanted) else [None] * len(wanted)
        return [
            place
            for n, (b, w, v) in enumerate(zip(old, wanted, live, strict=True))
            for place in three_way(b, w, v, f"{path}[{n}]")
        ]
    return [] if wanted == live else [path]


def program(name: str) -> Path:
    """Return a real applier's program."""
    done = subprocess.run([sys.executable, BUILDER, name], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


APPLIERS = {
    "kubectl-apply": ClientSide,
    "server-side": ServerSide,
    "replace": Replace,
    "helm": Helm,
    "flux": Flux,
    "argo": Argo,
}
ENGINES = {"flux-engine": FluxEngine, "argo-engine": ArgoEngine}
"""Built from Go modules for some minutes, and therefore only asked for by ``make test-gitops``."""


@pytest.fixture(params=ENGINES if os.environ.get("COALMINE_GITOPS_ENGINES") else APPLIERS)
def applier(request: pytest.FixtureRequest, shop: Any, tmp_path: Path) -> Iterator[Applier]:
    made = {**APPLIERS, **ENGINES}[request.param](shop, tmp_path)  # type: ignore[abstract]
    yield made
    if isinstance(made, Engine):
        made.close()
