"""YAML with places."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coalmine.lint.check import lint
from coalmine.lint.documents import read_documents

SAMPLE = """\
apiVersion: v1
kind: Thing
metadata:
  annotations:
    a.b/c: "1"
    a: {b/c: 2}
spec:
  list:
    - one: 1
      two: {three: 3}
    - {four: 4}
"""


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("", (1, 1)),
        ("spec", (7, 1)),
        ("spec.list[0]", (9, 7)),
        ("spec.list[0].two.three", (10, 13)),
        ("spec.list[1].four", (11, 8)),
        ("spec.list[1].missing.deeper", (11, 7)),
        ("spec.list[7].one", (8, 3)),
        ("metadata.annotations.a.b/c", (5, 5)),
        ("metadata.annotations[a.b/c]", (5, 5)),
        ("metadata.annotations['a.b/c']", (5, 5)),
        ("nothing", (1, 1)),
    ],
)
def test_a_path_leads_to_its_line_and_column(field, place):
    (document,), trouble = read_documents(SAMPLE, "f")
    assert not trouble
    assert document.locate(field) == place


def test_documents_and_lists_keep_their_places():
    text = (
        f"# first\n---\n{SAMPLE}---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Thing\n  spec: 1\n"
    )
    documents, _ = read_documents(text, "f")
    assert [d.locate("spec") for d in documents] == [(9, 1), (20, 3)]


def test_dates_and_keys_are_what_kubectl_reads():
    (document,), _ = read_documents("apiVersion: v1\nkind: X\nday: 2026-01-02\non: 1\n7: x\n", "f")
    assert document.value == {"apiVersion": "v1", "kind": "X", "day": "2026-01-02", "true": 1, "7": "x"}


def test_what_is_merged_in_is_no_key_that_is_written_twice():
    text = "apiVersion: v1\nkind: X\na: &a {b: 1}\nc: {<<: *a, b: 2}\n"
    (document,), _ = read_documents(text, "f")
    assert (document.twice, document.value["c"]) == ((), {"b": 2})


def test_aliases_that_grow_without_end_are_refused():
    grown = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"{k}: &{k} [{', '.join([f'*{j}'] * 8)}]\n" for j, k in zip("abcdefg", "bcdefgh", strict=True)
    )
    documents, (trouble,) = read_documents(grown, "f")
    assert not documents
    assert "grows too large by its aliases" in trouble.words


def test_of_text_that_is_no_yaml_the_place_is_told():
    documents, (trouble,) = read_documents(SAMPLE + "---\na: [1\nb: 2\n", "f")
    assert len(documents) == 1
    assert (trouble.line, trouble.column) == (14, 2)


def test_after_a_document_with_an_unknown_tag_the_next_one_is_read():
    documents, (trouble,) = read_documents(f"a: !Sub x\n---\n{SAMPLE}", "f")
    assert (trouble.line, trouble.column) == (1, 4)
    assert [d.locate("spec") for d in documents] == [(9, 1)]


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 200), st.sampled_from(["", "payment", "30s", "x.y", "{{a}}"])
)
NAMES = st.sampled_from(
    [
        "name",
        "namespace",
        "labels",
        "annotations",
        "ownerReferences",
        "workloadRef",
        "service",
        "steps",
        "setWeight",
        "analysis",
        "templates",
        "templateName",
        "dependsOn",
        "selector",
        "matchLabels",
        "matchExpressions",
        "template",
        "spec",
        "metadata",
        "containers",
        "ports",
        "port",
        "targetPort",
        "containerPort",
        "hosts",
        "http",
        "route",
        "destination",
        "host",
        "subset",
        "weight",
        "match",
        "uri",
        "prefix",
        "gateways",
        "backends",
        "rules",
        "backendRefs",
        "parentRefs",
        "scaleTargetRef",
        "targetRef",
        "strategy",
        "canary",
        "stableService",
        "mtls",
        "mode",
        "from",
        "source",
        "metrics",
        "args",
        "app",
        "replicas",
        "readinessProbe",
        "initialDelaySeconds",
        "restartPolicy",
        "initContainers",
        "protocol",
        "appProtocol",
        "trafficPolicy",
        "outlierDetection",
        "items",
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        ("coalmine.dev/v1alpha1", "Rollout"),
        ("coalmine.dev/v1alpha1", "AnalysisTemplate"),
        ("mesh.coalmine.dev/v1alpha1", "TrafficSplit"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("flagger.app/v1beta1", "Canary"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "Namespace"),
        ("v1", "List"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("networking.istio.io/v1", "VirtualService"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("networking.istio.io/v1", "Gateway"),
        ("security.istio.io/v1", "AuthorizationPolicy"),
        ("security.istio.io/v1", "PeerAuthentication"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("gateway.networking.k8s.io/v1", "ReferenceGrant"),
    ]
)
METADATA = st.one_of(
    VALUES, st.fixed_dictionaries({"name": st.just("payment")}, optional={"labels": VALUES, "annotations": VALUES})
)


@st.composite
def objects(draw):
    api, kind = draw(KINDS)
    spec = draw(
        st.one_of(
            VALUES,
            st.dictionaries(NAMES, VALUES, max_size=6),
            st.fixed_dictionaries(
                {"workloadRef": st.just({"name": "payment"})}, optional={"steps": VALUES, "dependsOn": VALUES}
            ),
            st.fixed_dictionaries(
                {"selector": st.just({"app": "payment"})},
                optional={"ports": VALUES, "template": VALUES, "replicas": LEAVES},
            ),
        )
    )
    return {"apiVersion": api, "kind": kind, "metadata": draw(METADATA), "spec": spec}


@given(st.lists(objects(), min_size=1, max_size=6))
def test_whatever_is_written_is_judged_and_nothing_raised(written):
    documents, trouble = read_documents(yaml.safe_dump_all(written), "f")
    assert not trouble
    found, _ = lint(documents, "default")
    assert all(f.line >= 1 and f.column >= 1 and f.message for f in found)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`, \n\t", max_size=60))
def test_whatever_text_is_read_and_nothing_raised(text):
    documents, trouble = read_documents(text, "f")
    lint(documents, "default")
    assert all(t.line >= 1 and t.column >= 1 for t in trouble)
