"""What Argo CD (its real Lua version) and Flux (kstatus's rules) make of a Rollout in every phase of real releases."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.api.rollout import Phase

ROOT = Path(__file__).parents[4]
ARGO = ROOT / "deploy" / "argocd" / "coalmine.dev" / "Rollout"
CONFIG = ROOT / "deploy" / "argocd" / "argocd-cm.yaml"
ACTIONS = sorted(p.parent.name for p in ARGO.glob("actions/*/action.lua"))
ENDED = {Phase.HEALTHY, Phase.ROLLED_BACK, Phase.STALLED}
HEALTH = {
    Phase.HEALTHY: "Healthy",
    Phase.PAUSED: "Suspended",
    Phase.AWAITING_APPROVAL: "Suspended",
    Phase.INCONCLUSIVE: "Suspended",
    Phase.ROLLED_BACK: "Degraded",
    Phase.STALLED: "Degraded",
}
OFFERED = {
    Phase.INITIALIZING: set(),
    Phase.HEALTHY: set(),
    Phase.STARTING: {"abort", "pause", "promote"},
    Phase.PROGRESSING: {"abort", "pause", "promote", "skip"},
    Phase.PAUSED: {"abort", "pause", "promote", "resume", "skip"},
    Phase.AWAITING_APPROVAL: {"abort", "approve", "pause", "promote", "reject", "skip"},
    Phase.INCONCLUSIVE: {"abort", "pause", "promote", "skip"},
    Phase.PROMOTING: {"abort", "pause"},
    Phase.WATCHING: {"abort", "pause", "skip"},
    Phase.ROLLING_BACK: set(),
    Phase.ROLLED_BACK: {"retry"},
    Phase.STALLED: {"abort", "pause", "promote"},
}


def stories(make_world):
    """Play releases that go through every phase; return the first Rollout of each."""
    steps = [{"setWeight": 20}, {"pause": {}}, {"approval": {}}, {"setWeight": 100}]
    world = make_world(
        steps=steps, analysis={"minStepDuration": "1s", "maxStepDuration": "2s"}, watch={"duration": "2s"}
    )
    found = {}
    decide = world.decide

    def looked():
        plan = decide()
        found.setdefault(plan.status.phase, rollout(world))
        return plan

    world.decide = looked
    world.deployment["status"]["observedGeneration"] = 0
    world.decide()
    world.deployment["status"]["observedGeneration"] = 1
    for deed in (
        lambda: world.push("shop:2"), lambda: world.wait(5), lambda: world.annotate(names.SKIP_ANNOTATION),
        lambda: world.annotate(names.RESUME_ANNOTATION), lambda: world.annotate(names.APPROVE_ANNOTATION),
        lambda: world.says(Decision.PROMOTE), lambda: world.wait(20), lambda: world.push("shop:3"),
        lambda: world.says(Decision.ROLL_BACK), lambda: world.wait(5), lambda: setattr(world, "taken", "Service payment-canary"),
    ):  # fmt: skip
        deed()
        world.settle(4)
    return found


def rollout(world):
    metadata = {"name": "payment", "generation": world.generation, "annotations": dict(world.annotations)}
    return {"metadata": metadata, "spec": copy.deepcopy(world.spec), "status": copy.deepcopy(world.status)}


PLAYED = {}


@pytest.fixture
def seen(make_world):
    """A Rollout of every phase."""
    if not PLAYED:
        PLAYED.update(stories(make_world))
    assert set(PLAYED) == set(Phase)
    return copy.deepcopy(PLAYED)


def run(script, obj):
    """Run a script as Argo CD does: the object is the global ``obj``, the answer is returned."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = table(lua, obj)
    return plain(lua.execute(script))


def table(lua, value):
    if isinstance(value, dict):
        return lua.table_from({k: table(lua, v) for k, v in value.items()})
    return lua.table_from([table(lua, v) for v in value]) if isinstance(value, list) else value


def plain(value):
    return {k: plain(v) for k, v in value.items()} if hasattr(value, "items") else value


def health(obj):
    return run((ARGO / "health.lua").read_text(), obj)


def test_argo_cd_tells_the_health_of_every_phase(seen):
    assert {p: health(o)["status"] for p, o in seen.items()} == {p: HEALTH.get(p, "Progressing") for p in Phase}
    assert all(health(o)["message"] == o["status"]["message"] for o in seen.values())


def test_argo_cd_waits_for_the_controller_and_for_the_end(seen):
    healthy = seen[Phase.HEALTHY]
    new = {**healthy, "metadata": {**healthy["metadata"], "generation": 99}}
    gone = {**healthy, "metadata": {**healthy["metadata"], "deletionTimestamp": "2030-01-01T00:00:00Z"}}
    for each in (new, gone, {k: v for k, v in healthy.items() if k != "status"}):
        assert health(each)["status"] == "Progressing"


def test_argo_cd_offers_what_would_do_something(seen):
    script = (ARGO / "actions" / "discovery.lua").read_text()
    offered = {p: {a for a, how in run(script, o).items() if not how["disabled"]} for p, o in seen.items()}
    assert offered == OFFERED
    assert set(run(script, {"metadata": {}, "spec": {}})) == set(ACTIONS)
    paused = {**seen[Phase.PROGRESSING], "spec": {"paused": True}}
    assert {a for a, how in run(script, paused).items() if not how["disabled"]} >= {"resume", "abort"}


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_sets_its_annotation(seen, action):
    before = seen[Phase.PAUSED]
    after = run((ARGO / "actions" / action / "action.lua").read_text(), before)
    annotation = getattr(names, f"{action.upper()}_ANNOTATION")
    assert after["metadata"]["annotations"].pop(annotation).endswith("Z")
    before["metadata"]["annotations"].pop(annotation, None)
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    bare = run((ARGO / "actions" / action / "action.lua").read_text(), {"metadata": {}, "spec": {}})
    assert list(bare["metadata"]["annotations"]) == [annotation]


def test_resume_takes_off_a_pause_of_the_spec_as_well(seen):
    before = {**seen[Phase.PAUSED], "spec": {"paused": True}}
    assert "paused" not in run((ARGO / "actions" / "resume" / "action.lua").read_text(), before)["spec"]


def test_the_config_map_holds_the_same_scripts():
    definitions = [{"name": a, "action.lua": (ARGO / "actions" / a / "action.lua").read_text()} for a in ACTIONS]
    actions = {"discovery.lua": (ARGO / "actions" / "discovery.lua").read_text(), "definitions": definitions}
    wanted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "data": {
            "resource.customizations.health.coalmine.dev_Rollout": (ARGO / "health.lua").read_text(),
            "resource.customizations.actions.coalmine.dev_Rollout": dump(actions),
        },
    }
    text = "# Made from the scripts beside it by `make generate`. Merge its data into your argocd-cm:\n"
    text += "#   kubectl patch configmap argocd-cm -n argocd --patch-file deploy/argocd/argocd-cm.yaml\n" + dump(wanted)
    if os.environ.get("COALMINE_REGENERATE"):
        CONFIG.write_text(text)
    assert CONFIG.read_text() == text, "deploy/argocd/argocd-cm.yaml is stale: run `make generate`"


class _Block(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


_Block.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dump(value):
    return yaml.dump(value, Dumper=_Block, sort_keys=False, width=200)


def kstatus(obj):
    """kstatus's generic rules (sigs.k8s.io/cli-utils, ``checkGenericProperties`` and ``checkReadyCondition``)."""
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if obj["status"].get("observedGeneration", obj["metadata"]["generation"]) != obj["metadata"]["generation"]:
        return "InProgress"
    conditions = obj["status"].get("conditions", ())
    for kind, means in (("Reconciling", "InProgress"), ("Stalled", "Failed")):
        if any(c["type"] == kind and c["status"] == "True" for c in conditions):
            return means
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"


def test_flux_waits_for_the_promotion_and_fails_after_a_rollback(seen):
    wanted = {p: "InProgress" for p in Phase if p not in ENDED}
    assert {p: kstatus(o) for p, o in seen.items()} == {
        **wanted, Phase.HEALTHY: "Current", Phase.ROLLED_BACK: "Failed", Phase.STALLED: "Failed"
    }  # fmt: skip
