from __future__ import annotations

import pytest

from rollouts.api.rollout import RolloutSpec
from rollouts.api.validate import InvalidRollout, parse_rollout

KINDS = "setWeight, setHeaderRoute, setMirrorRoute, setCanaryScale, analysis, experiment, pause, approval"


def rollout(**spec):
    return {"spec": {"workloadRef": {"name": "payment"}, **spec}}


def problems(**spec):
    with pytest.raises(InvalidRollout) as caught:
        parse_rollout(rollout(**spec))
    return caught.value.problems


def test_the_workload_alone_is_a_complete_rollout():
    spec = parse_rollout(rollout())
    assert [step.set_weight for step in spec.steps] == [10, 50, 100]
    assert spec.host == "payment"
    assert spec.analysis.errors.enabled
    assert spec.analysis.latency.enabled
    assert spec.outlier_detection.consecutive_5xx_errors == 5


def test_a_null_field_is_an_absent_one():
    assert parse_rollout(rollout(steps=None, analysis={"errors": {"maxRatio": None}})) == parse_rollout(rollout())


def test_what_is_dumped_parses_back():
    spec = parse_rollout(rollout(steps=[{"setWeight": 5}, {"pause": {"duration": "90s"}}, {"approval": {}}]))
    assert parse_rollout({"spec": spec.dump()}) == spec
    assert spec.dump()["steps"][1] == {"pause": {"duration": "1m30s"}}


def test_a_rollout_without_a_spec_says_what_to_write():
    with pytest.raises(InvalidRollout, match=r"spec is missing: write at least spec\.workloadRef\.name"):
        parse_rollout({"metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"steps": [{"setWeight": 101}]}, "spec.steps[0].setWeight is 101: it should be less than or equal to 100"),
        ({"steps": [{"setWeight": -1}]}, "spec.steps[0].setWeight is -1: it should be greater than or equal to 0"),
        ({"steps": []}, "spec.steps has 0 items: write at least 1"),
        (
            {
                "slos": [
                    {"name": "up", "availability": {"objective": 99}, "latency": {"objective": 9, "threshold": "1s"}}
                ]
            },
            "spec.slos[0]: an SLO is exactly one of availability, latency: write one entry for each",
        ),
        (
            {"slos": [{"name": "up", "availability": {"objective": 99}, "burnRate": 100}]},
            "spec.slos[0]: burnRate × (100 - objective) is 100 or more, so that even a version that fails every request would not breach it: lower burnRate, or raise objective",
        ),
        (
            {"slos": 2 * [{"name": "up", "availability": {"objective": 99.9}}]},
            "spec.slos: two SLOs are called up: rename one of them",
        ),
        (
            {"watch": {"duration": "soon"}},
            "spec.watch.duration: 'soon' is not a duration: write it like 30s, 5m or 1h30m",
        ),
        (
            {"steps": [{"setWeight": 1, "pause": {}}]},
            f"spec.steps[0]: a step sets exactly one of {KINDS}: write one step for each",
        ),
        (
            {"steps": [{"setWieght": 20}]},
            "spec.steps[0].setWieght is not a field: did you mean setWeight? remove it or write one of "
            + ", ".join(sorted(KINDS.split(", "))),
        ),
        (
            {"analysis": {"errors": {"zzz": 1}}},
            "spec.analysis.errors.zzz is not a field: remove it or write one of enabled, maxIncreasePercent, maxRatio, noiseIncreasePercent, noiseRatio, sloPercent, warmUp",
        ),
        (
            {"workloadRef": {}},
            "spec.workloadRef.name is missing: write it (Its name, in this namespace)",
        ),
        (
            {"workloadRef": {"name": "a", "kind": "StatefulSet"}},
            "spec.workloadRef.kind is 'StatefulSet': write 'Deployment'",
        ),
        (
            {"service": "Pay_ment"},
            "spec.service is 'Pay_ment': write lower-case letters, digits and '-', with a letter or digit at both ends",
        ),
        (
            {"analysis": {"warmUp": "1m", "minStepDuration": "5 minutes"}},
            "spec.analysis.minStepDuration: '5 minutes' is not a duration: write it like 30s, 5m or 1h30m",
        ),
        (
            {"analysis": {"minStepDuration": "1h"}},
            "spec.analysis: minStepDuration is longer than maxStepDuration: shorten it or lengthen maxStepDuration",
        ),
        (
            {"analysis": {"onInconclusive": "Wait"}},
            "spec.analysis.onInconclusive is 'Wait': write 'Hold', 'Promote', 'RollBack' or 'Approve'",
        ),
        (
            {"analysis": {"onOutlierPod": "Delete"}},
            "spec.analysis.onOutlierPod is 'Delete': write 'ReplacePod', 'Hold' or 'RollBack'",
        ),
        (
            {"analysis": {"holdbackPercent": 21}},
            "spec.analysis.holdbackPercent is 21: it should be less than or equal to 20",
        ),
        (
            {"analysis": {"latency": {"noiseRatio": 1.5}}},
            "spec.analysis.latency: noiseRatio is above maxRatio: what nobody minds is a part of what is tolerated; lower it",
        ),
        ({"paused": "perhaps"}, "spec.paused is 'perhaps': it should be a valid boolean, unable to interpret input"),
        (
            {"workloadRef": {"name": "a.b"}},
            "spec.workloadRef.name: a Service cannot have the workload's name (a DNS label of at most 63 characters): set spec.service to the one that clients call",
        ),
    ],
)
def test_a_problem_names_the_field_and_the_fix(spec, sentence):
    assert sentence in problems(**spec)


def test_every_problem_is_told_at_once():
    found = problems(steps=[{"setWeight": 101}], paused="perhaps", nonsense=1)
    assert len(found) == 3


def test_every_field_people_write_is_described():
    def undescribed(model, path):
        for name, info in model.model_fields.items():
            if not info.description:
                yield f"{path}.{name}"
            if hasattr(info.annotation, "model_fields"):
                yield from undescribed(info.annotation, f"{path}.{name}")

    assert list(undescribed(RolloutSpec, "spec")) == []
