"""Which pods the API server asks the injector about, by our labels and by Istio's."""

from __future__ import annotations

import itertools

import pytest

from mesh.inject.choice import namespace_wants, pod_choice, wanted_where

OURS, ISTIO_NS, ISTIO_POD = "coalmine.dev/inject", "istio-injection", "sidecar.istio.io/inject"


def matches(expressions: list[dict], labels: dict[str, str]) -> bool:
    """Kubernetes' meaning of matchExpressions."""
    tests = {
        "In": lambda e: labels.get(e["key"]) in e["values"],
        "NotIn": lambda e: labels.get(e["key"]) not in e["values"],
        "Exists": lambda e: e["key"] in labels,
        "DoesNotExist": lambda e: e["key"] not in labels,
    }
    return all(tests[e["operator"]](e) for e in expressions)


def asked(namespace: dict[str, str], pod: dict[str, str], *, istio_labels: bool = True) -> list[str]:
    return [
        name
        for name, namespaces, pods in wanted_where(istio_labels=istio_labels)
        if matches(namespaces, namespace) and matches(pods, pod)
    ]


def labels(first: str, one: tuple, second: str, two: tuple):
    for a, b in itertools.product((None, *one), (None, *two)):
        yield {key: value for key, value in ((first, a), (second, b)) if value is not None}


NAMESPACES = list(labels(OURS, ("enabled", "disabled"), ISTIO_NS, ("enabled", "disabled")))
PODS = list(labels(OURS, ("enabled", "disabled"), ISTIO_POD, ("true", "false")))


@pytest.mark.parametrize("istio_labels", [True, False])
def test_no_pod_is_asked_about_twice(istio_labels):
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        assert len(asked(namespace, pod, istio_labels=istio_labels)) <= 1, (namespace, pod)


def test_what_is_asked_about_is_what_the_labels_want():
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        own = pod_choice({"labels": pod})
        wanted = own if own is not None else bool(namespace_wants(namespace))
        # As in Istio: its label on a pod does not help against a namespace that is disabled.
        if OURS not in pod and pod.get(ISTIO_POD) == "true":
            decided = namespace.get(OURS) or namespace.get(ISTIO_NS)
            wanted = decided != "disabled"
        assert bool(asked(namespace, pod)) == wanted, (namespace, pod)


@pytest.mark.parametrize(
    ("namespace", "pod"), [({ISTIO_NS: "enabled"}, {}), ({}, {ISTIO_POD: "true"}), ({ISTIO_NS: "enabled"}, {"a": "b"})]
)
def test_istios_labels_mean_istio_where_istio_is(namespace, pod):
    assert asked(namespace, pod)
    assert not asked(namespace, pod, istio_labels=False)


def test_a_misspelt_label_is_asked_about_so_that_it_is_refused():
    assert asked({}, {OURS: "yes"}) == ["pod"]
    assert asked({}, {ISTIO_POD: "flase"}) == ["istio-pod"]


def test_our_label_decides_before_istios_and_a_no_before_a_yes():
    assert pod_choice({"labels": {OURS: "enabled", ISTIO_POD: "false"}}) is True
    assert pod_choice({"labels": {OURS: "enabled"}, "annotations": {OURS: "disabled"}}) is False
    assert pod_choice({"annotations": {ISTIO_POD: "true"}}) is True
    assert pod_choice({}) is None
