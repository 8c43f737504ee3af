"""The generated definitions on the real API server: defaults, refusals, columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from coalmine.local.errors import KubectlError
from rollouts.api.rollout import RolloutSpec, RolloutStatus
from rollouts.api.validate import InvalidRollout, parse_rollout

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples" / "rollout"
CLIENTS = {
    "apply": ("apply",),
    "server-side": ("apply", "--server-side"),
    "no validation": ("apply", "--validate=false"),
    "create": ("create", "--validate=ignore"),
}


def rollout(**spec):
    return json.dumps(
        {
            "apiVersion": "coalmine.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "pay"},
            "spec": {"workloadRef": {"name": "pay"}, **spec},
        }
    )


def split(backends, **more):
    return json.dumps(
        {
            "apiVersion": "mesh.coalmine.dev/v1alpha1",
            "kind": "TrafficSplit",
            "metadata": {"name": "pay"},
            "spec": {"service": "pay", "backends": [{"service": s, "weight": w} for s, w in backends], **more},
        }
    )


def route(match):
    return split([("a", 100)], routes=[{"match": [match], "service": "b"}])


@pytest.fixture
def dry_run(kubectl):
    """Asks the API server what it would say to a manifest; nothing is stored."""

    def dry_run(text, *command):
        return kubectl(*(command or ("apply",)), "--dry-run=server", "-o", "json", "-f", "-", stdin=text)

    return dry_run


@pytest.fixture
def apply(kubectl, namespace):
    """Applies a manifest and returns what the API server made of it."""

    def apply(text, *command):
        return json.loads(kubectl(*(command or ("apply",)), "-n", namespace, "-o", "json", "-f", "-", stdin=text))

    return apply


def filled(value):
    """Return what the API server stores: an empty list that nobody wrote stays away."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items() if inner != []}
    return [filled(inner) for inner in value] if isinstance(value, list) else value


def test_the_workload_alone_comes_back_complete(apply):
    made = apply(rollout())
    assert made["spec"] == filled(RolloutSpec(workload_ref={"name": "pay"}).dump())
    assert parse_rollout(made) == RolloutSpec(workload_ref={"name": "pay"})


@pytest.mark.parametrize("name", ["minimal.yaml", "full.yaml", "metrics.yaml"])
def test_the_examples_are_accepted_and_mean_what_they_say(dry_run, name):
    stored = dry_run((EXAMPLES / name).read_text())
    written = yaml.safe_load((EXAMPLES / name).read_text())
    assert parse_rollout(json.loads(stored)) == parse_rollout(written)
    assert json.loads(stored)["spec"] == filled(parse_rollout(written).dump())


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"stepz": []}, "spec.stepz is not a field of a Rollout: remove it or write one of analysis, "),
        ({"workloadRef": {"name": "pay", "namespace": "x"}}, "spec.workloadRef.namespace is not a field"),
        ({"steps": [{"setWeight": 1}, {"setWeight": 2, "wait": 1}]}, "spec.steps[].wait is not a field"),
        ({"steps": [{"pause": {"durations": "1s"}}]}, "spec.steps[].pause.durations is not a field"),
        ({"analysis": {"errors": {"maxRation": 2}}}, "spec.analysis.errors.maxRation is not a field"),
    ],
)
def test_an_unknown_field_is_refused_by_name_for_every_client(dry_run, client, spec, said):
    with pytest.raises(KubectlError) as refused:
        dry_run(rollout(**spec), *client)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "field", "fix"),
    [
        ({"steps": [{"setWeight": 101}]}, "spec.steps[0].setWeight", "less than or equal to 100"),
        ({"steps": [{"setWeight": -1}]}, "spec.steps[0].setWeight", "greater than or equal to 0"),
        ({"steps": []}, "spec.steps", "at least 1 items"),
        ({"steps": [{}]}, "spec.steps[0]", "exactly one of setWeight, setHeaderRoute"),
        ({"steps": [{"setWieght": 5}]}, "spec.steps[0]", "exactly one of setWeight, setHeaderRoute"),
        ({"steps": [{"setWeight": 5, "approval": {}}]}, "spec.steps[0]", "exactly one of setWeight, setHeaderRoute"),
        ({"workloadRef": {}}, "spec.workloadRef.name", "Required value"),
        ({"workloadRef": {"name": "pay", "kind": "StatefulSet"}}, "spec.workloadRef.kind", '"Deployment"'),
        ({"workloadRef": {"name": "pay.me"}}, "spec.workloadRef.name", "set spec.service"),
        ({"service": "x" * 64}, "spec.service", "Too long"),
        ({"analysis": {"minStepDuration": "1h"}}, "spec.analysis", "shorten it or lengthen maxStepDuration"),
        ({"analysis": {"minStepDuration": "5 minutes"}}, "spec.analysis.minStepDuration", "should match"),
        ({"analysis": {"rollbackAlpha": 0}}, "spec.analysis.rollbackAlpha", "greater than 0"),
        ({"analysis": {"onInconclusive": "Wait"}}, "spec.analysis.onInconclusive", '"Hold", "Promote", "RollBack"'),
        ({"outlierDetection": {"maxEjectionPercent": 200}}, "spec.outlierDetection.maxEjectionPercent", "100"),
        ({"slos": [{"name": "up"}]}, "spec.slos[0]", "exactly one of availability, latency"),
        ({"slos": [{"name": "up", "availability": {"objective": 90}}]}, "spec.slos[0]", "lower burnRate"),
        (
            {"slos": [{"name": "up", "latency": {"objective": 99, "threshold": "1s"}, "burnRate": 100}]},
            "spec.slos[0]",
            "lower burnRate",
        ),
        ({"slos": 2 * [{"name": "up", "availability": {"objective": 99.9}}]}, "spec.slos", "up"),
        ({"watch": {"duration": "soon"}}, "spec.watch.duration", "should match"),
    ],
)
def test_what_is_surely_wrong_is_refused_and_the_models_agree(dry_run, spec, field, fix):
    with pytest.raises(KubectlError) as refused:
        dry_run(rollout(**spec))
    assert field in str(refused.value)
    assert fix in str(refused.value)
    with pytest.raises(InvalidRollout) as invalid:
        parse_rollout({"spec": {"workloadRef": {"name": "pay"}, **spec}})
    assert field in str(invalid.value)


def test_a_name_that_is_no_label_value_is_refused(dry_run):
    text = json.loads(rollout())
    text["metadata"]["name"] = "x" * 64
    with pytest.raises(KubectlError, match=r"metadata\.name.*Too long"):
        dry_run(json.dumps(text))


def test_an_unknown_field_from_before_the_policy_hinders_neither_labels_nor_deletion(
    apply, dry_run, kubectl, namespace
):
    binding = ("validatingadmissionpolicybinding", "unknown-fields.rollouts.coalmine.dev")
    kept = kubectl("get", *binding, "-o", "json")
    kubectl("delete", *binding)
    try:
        stored = _apply_once_allowed(apply, rollout(stepz=[]))
    finally:
        again = json.loads(kept)
        again["metadata"] = {"name": again["metadata"]["name"]}
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(again))
    with pytest.raises(InvalidRollout, match=r"spec\.stepz is not a field: did you mean steps\?"):
        parse_rollout(stored)
    _until_refused(dry_run, rollout(stepz=[1]))
    kubectl("label", "-n", namespace, "rollout.coalmine.dev/pay", "team=shop")
    kubectl("delete", "-n", namespace, "rollout.coalmine.dev/pay", "--timeout=10s")


def _apply_once_allowed(apply, text):
    for _ in range(100):
        try:
            return apply(text)
        except KubectlError as error:
            refusal = error
    raise refusal


def _until_refused(dry_run, text):
    for _ in range(100):
        try:
            dry_run(text)
        except KubectlError:
            return
    pytest.fail("the policy does not refuse")


def test_kubectl_shows_where_a_rollout_is(apply, kubectl, namespace):
    apply(rollout())
    status = RolloutStatus(
        observed_generation=1,
        phase="Progressing",
        step="2/3",
        weight={"configured": 50, "actual": 49.71},
        verdict="Continue",
        handled={"coalmine.dev/abort": "1"},
        internal={"state": {"deep": [1, {"a": "b"}]}},
        conditions=(
            {"type": "Ready", "status": "False", "reason": "Progressing", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ),
    ).dump()
    patch = json.dumps({"status": status})
    stored = kubectl(
        "patch", "cro/pay", "-n", namespace, "--subresource=status", "--type=merge", "-o", "json", "-p", patch
    )
    assert json.loads(stored)["status"] == status
    assert json.loads(stored)["metadata"]["generation"] == 1
    header, line = kubectl("get", "cro", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "STATUS", "STEP", "WEIGHT", "ACTUAL", "VERDICT", "AGE"]
    assert line.split()[:6] == ["pay", "Progressing", "2/3", "50", "49.71", "Continue"]
    assert "rollout.coalmine.dev/pay" in kubectl("get", "all", "-n", namespace)
    kubectl("wait", "cro/pay", "-n", namespace, "--for=condition=Ready=False", "--timeout=5s")


def test_conditions_of_two_writers_are_merged_by_type(apply, kubectl, namespace):
    apply(rollout())

    def write(manager, kind):
        condition = {"type": kind, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        text = json.loads(rollout())
        text = {**text, "status": {"conditions": [condition]}}
        del text["spec"]
        kubectl(
            "apply", "--server-side", "--subresource=status", f"--field-manager={manager}", "-n", namespace, "-f", "-",
            stdin=json.dumps(text),
        )  # fmt: skip

    write("one", "Ready")
    write("two", "Stalled")
    stored = json.loads(kubectl("get", "cro/pay", "-n", namespace, "-o", "json"))
    assert {c["type"] for c in stored["status"]["conditions"]} == {"Ready", "Stalled"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (split([("a", 90), ("b", 9)]), "spec.backends: Invalid value: the weights do not add up to 100"),
        (split([("a", 50), ("a", 50)]), "spec.backends: Invalid value: a service is named twice"),
        (split([("a", 101), ("b", -1)]), "spec.backends[0].weight"),
        (split([("a", 100)], backend=1), "spec.backend is not a field of a TrafficSplit"),
        (
            split([("a", 90), ("b", 10)], mirror={"service": "b"}),
            "spec.mirror.service: Invalid value: has a weight",
        ),
        (
            split([("a", 100)], routes=[{"match": [{}], "service": "b"}]),
            "spec.routes[0].match[0]: Invalid value: says nothing to compare",
        ),
        (
            route({"headers": {"x": {"exact": "a", "prefix": "a"}}}),
            "exact, prefix and regex exclude each other: keep one",
        ),
        (route({"cookies": {"a b": {}}}), "a key is no name of a header or a cookie: write letters, digits and -"),
        (route({"header": {}, "headers": {"x": {}}}), "spec.routes[].match[].header is not a field of a TrafficSplit"),
        (split([("a", 100)], sessionAffinity={"cookie": "a;b"}), "spec.sessionAffinity.cookie"),
    ],
)
def test_a_split_that_cannot_be_is_refused(dry_run, text, said):
    with pytest.raises(KubectlError) as refused:
        dry_run(text)
    assert said in str(refused.value)


def test_a_split_gets_the_safe_outlier_detection(dry_run):
    assert json.loads(dry_run(split([("a", 90), ("b", 10)])))["spec"]["outlierDetection"] == {
        "consecutive5xxErrors": 5,
        "interval": "30s",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 50,
    }


def test_a_split_may_have_routes_a_mirror_and_affinity(dry_run):
    text = split(
        [("a", 100), ("b", 0)],
        routes=[{"match": [{"headers": {"x-tester": {"exact": "yes"}}}, {"cookies": {"tester": {}}}], "service": "b"}],
        mirror={"service": "b", "match": [{"headers": {"x-copy": {"regex": "a|b"}}}]},
        sessionAffinity={},
    )
    spec = json.loads(dry_run(text))["spec"]
    assert spec["sessionAffinity"] == {"cookie": "coalmine-affinity", "maxAge": "24h"}
    assert (spec["mirror"]["percent"], spec["routes"][0]["match"][1]) == (100, {"cookies": {"tester": {}}})


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_fields_of_a_virtual_service_that_we_do_not_know_are_kept(apply, kubectl, namespace, version):
    spec = {
        "hosts": ["pay"],
        "http": [{"route": [{"destination": {"host": "pay"}}], "fault": {"abort": {"httpStatus": 500}}}],
        "tcp": [{"route": [{"destination": {"host": "pay"}}]}],
    }
    made = apply(
        json.dumps(
            {
                "apiVersion": f"networking.istio.io/{version}",
                "kind": "VirtualService",
                "metadata": {"name": "pay"},
                "spec": spec,
            }
        )
    )
    assert made["spec"] == spec
    for other in ("v1", "v1beta1", "v1alpha3"):
        read = kubectl("get", f"virtualservices.{other}.networking.istio.io", "pay", "-n", namespace, "-o", "json")
        assert json.loads(read)["spec"] == spec
