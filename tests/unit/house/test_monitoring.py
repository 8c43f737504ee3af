"""Dashboards, alerts, runbooks and the table of metrics belong together: none names what another does not have."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from mesh.ca.authority import Authority
from mesh.ca.roots import first
from mesh.resolve.world import World
from mesh.wiring import metrics as mesh_metrics
from rollouts.engine.cache import Cache
from rollouts.engine.meters import Meters
from rollouts.wiring import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
OPERATOR = ROOT / "deploy" / "prometheus" / "prometheusrule.yaml"
BOARDS = ROOT / "deploy" / "grafana"
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGE = ROOT / "docs" / "operations.md"
OURS = re.compile(r"\bcoalmine_[a-z_]+")
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def rules() -> dict[str, dict]:
    return {r["alert"]: r for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]}


def told() -> set[str]:
    """The names of all metrics that the code has."""
    meters = Meters()
    facts = metrics.Facts(identity="a", leads=True, waiting=0, most_releases=None, pending={})
    families = [*metrics.families(Cache(), facts, "1", 0.0), *meters.registry.collect()]
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    world = World({}, {}, {})
    authority = Authority(first(now), clock=lambda: now)
    own = mesh_metrics.Facts(world, [], authority, (), lambda _: None)
    families += mesh_metrics.families(own)
    return {f"{f.name}_total" if f.type == "counter" else f.name for f in families}


def queries() -> Iterator[tuple[str, str]]:
    """Each query with where it is."""
    for name, rule in rules().items():
        yield name, rule["expr"]
    for file in BOARDS.glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{file.name}: {panel['title']}", target["expr"]


def test_the_dashboards_are_those_that_the_code_makes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from tools.grafana.build import files, main  # noqa: PLC0415 - the repository's root is on no path before

    if os.environ.get("COALMINE_REGENERATE"):
        main()
    assert {f.name: f.read_text() for f in BOARDS.glob("*.json")} == files(), "run `make generate`"


def test_every_alert_has_its_page_and_every_page_its_alert():
    found = rules()
    assert {p.stem for p in RUNBOOKS.glob("*.md")} - {"README"} == set(found)
    index = (RUNBOOKS / "README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]\(\1\.md\)", index, flags=re.MULTILINE) == list(found)
    for name, rule in found.items():
        assert rule["annotations"]["runbook_url"] == f"https://coalmine.dev/docs/runbooks/{name}"
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("Coalmine*.md")), ids=lambda p: p.stem)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(page):
    text = page.read_text()
    heading, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    assert heading.startswith(f"# {page.stem}\n\n")
    assert len(heading.split()) > 15
    assert [p.partition("\n")[0] for p in parts] == ["What to look at", "What to do"]
    assert re.search(r"```console\n\$ ", parts[0])
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_operators_resource_holds_the_same_rules():
    header = "# For the Prometheus operator: the rules of rules.yaml. Made by `make generate`.\n"
    made = header + yaml.safe_dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "coalmine",
                "namespace": "coalmine-system",
                "labels": {"app.kubernetes.io/part-of": "coalmine"},
            },
            "spec": yaml.safe_load(RULES.read_text()),
        },
        sort_keys=False,
        width=120,
    )
    if os.environ.get("COALMINE_REGENERATE"):
        OPERATOR.write_text(made)
    assert OPERATOR.read_text() == made, "run `make generate`"


def test_the_page_lists_exactly_the_metrics_that_there_are():
    listed = re.findall(r"^\| `(coalmine_\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert len(set(listed)) == len(listed)
    assert set(listed) == told()


def test_no_query_asks_for_a_metric_that_there_is_not():
    known = told()
    for where, expr in queries():
        for name in OURS.findall(expr):
            assert name in known or SUFFIX.sub("", name) in known, f"{where}: {name}"
