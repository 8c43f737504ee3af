"""What is told where: defaults, triggers, people's annotations; and what a wrong configuration says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from rollouts.api.controller import InvalidConfigError, read_config
from rollouts.api.notifications import NOTIFY_ANNOTATION, Notifications, PagerDuty, Teams, Trigger
from rollouts.core.machine import Event
from rollouts.notify.triggers import REASONS, fits, wanted
from rollouts.wiring.sinks import open_sinks

CORE = Path(__file__).parents[4] / "rollouts" / "core"


def test_by_default_people_are_told_what_most_want_to_know(transition):
    told = {e.value for e in Event if fits(Trigger(), transition(e.value))}
    assert told == {
        "ReleaseStarted", "CanaryReplaced", "ApprovalRequested", "Promoted",
        "RollbackStarted", "Aborted", "RolledBack", "RevisionRefused", "Inconclusive",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ({"reasons": ["Promoted"]}, False),
        ({"reasons": ["RollbackStarted"]}, True),
        ({"types": ["Warning"]}, True),
        ({"types": ["Normal"]}, False),
        ({"reasons": ["Promoted"], "types": ["Warning"]}, True),
        ({"phases": ["Progressing"]}, True),
        ({"phases": ["Healthy"]}, False),
        ({"namespaces": ["sh*"]}, True),
        ({"namespaces": ["bank", "till-*"]}, False),
        ({"selector": {"team": "pay"}}, True),
        ({"selector": {"team": "pay", "tier": "1"}}, False),
    ],
)
def test_all_that_a_trigger_says_has_to_fit(transition, trigger, expected):
    assert fits(Trigger.model_validate(trigger), transition("RollbackStarted")) is expected


@pytest.mark.parametrize(
    ("annotation", "opt_in", "expected"),
    [(None, False, True), (None, True, False), ("ops, dev", False, True), ("ops", True, True), ("dev", False, False),
     ("none", False, False), ("", False, False)],
)  # fmt: skip
def test_a_rollouts_annotation_decides_who_is_told_of_it(transition, annotation, opt_in, expected):
    annotations = {} if annotation is None else {NOTIFY_ANNOTATION: annotation}
    place = Teams(name="ops", url_file="x", opt_in=opt_in)
    assert wanted(place, transition(annotations=annotations)) is expected


def test_pagerduty_wakes_nobody_for_what_people_did_themselves(transition):
    when = PagerDuty(name="pager", routing_key_file="x").when
    assert fits(when, transition("RollbackStarted"))
    assert not fits(when, transition("Aborted"))
    assert set(when.reasons) <= REASONS


def test_every_reason_that_is_announced_is_known():
    """Else a trigger for it would be refused."""
    said = {m for p in CORE.rglob("*.py") for m in re.findall(r'"(?:Warning|Normal)",\s*"([A-Z]\w+)"', p.read_text())}
    assert said - {"Warning"}
    assert said - {"Warning"} <= REASONS


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"teams": [{"name": "a"}]}, r"notifications\.teams\.0\.urlFile: Field required"),
        ({"teams": [{"name": "A b", "urlFile": "x"}]}, r"notifications\.teams\.0\.name: "),
        ({"teems": []}, r"notifications\.teems: Extra inputs"),
        ({"cloudEvents": [{"name": "a"}]}, r"notifications\.cloudEvents\.0: .*write one of url and urlFile"),
        ({"cloudEvents": [{"name": "a", "url": "ftp://x"}]}, r"cloudEvents\.0\.url: .*it is no address"),
        ({"mail": [{"name": "a", "host": "h", "from": "a@b", "to": ["c@d"], "username": "x"}]}, "write both, or none"),
        ({"discord": [{"name": "a", "urlFile": "x", "template": {"text": "{{ nme }}"}}]},
         r"notifications\.discord\.0\.template\.text: .*it names nme, which there is not"),
        ({"discord": [{"name": "a", "urlFile": "x", "template": {"title": "{% if %}"}}]},
         r"notifications\.discord\.0\.template\.title: .*no Jinja template: line 1"),
        ({"link": "{{ ''.__class__.__mro__ }}"}, r"notifications\.link: .*unsafe"),
        ({"teams": [{"name": "a", "urlFile": "x"}], "discord": [{"name": "a", "urlFile": "x"}]},
         "notifications: .*2 places are called a"),
        ({"teams": [{"name": "slack", "urlFile": "x"}]}, "no place may be called slack"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_names_the_field_and_the_fix(tmp_path, wrong, words):
    path = tmp_path / "controller.yaml"
    path.write_text(yaml.safe_dump({"notifications": wrong}))
    with pytest.raises(InvalidConfigError, match=words):
        read_config(path)


async def test_a_reason_that_no_event_has_and_a_host_that_comes_twice_are_refused(tmp_path, session):
    path = tmp_path / "controller.yaml"
    teams = {"name": "a", "urlFile": "x", "when": {"reasons": ["Promotd"]}}
    path.write_text(yaml.safe_dump({"notifications": {"teams": [teams]}}))
    with pytest.raises(
        InvalidConfigError, match=r"notifications\.teams\.0\.when\.reasons: no Event has reason Promotd"
    ):
        open_sinks(read_config(path), session)
    host = {"kind": "GitHub", "url": "https://github.com", "tokenFile": "x"}
    path.write_text(yaml.safe_dump({"commitStatus": {"hosts": [host, host]}}))
    with pytest.raises(InvalidConfigError, match=r"commitStatus\.hosts\.1\.url: github\.com is there already"):
        open_sinks(read_config(path), session)


async def test_every_place_of_the_example_is_opened(session):
    example = Path(__file__).parents[4] / "examples" / "notifications" / "controller.yaml"
    config = read_config(example)
    sinks = open_sinks(config, session)
    assert (
        len({sink.name for sink in sinks})
        == len(sinks)
        == len(config.notifications.places) + len(config.commit_status.hosts)
    )
    kinds = {field.split(".")[1] for field, _ in config.notifications.places}
    assert kinds == {f.alias for n, f in Notifications.model_fields.items() if n != "link"}
