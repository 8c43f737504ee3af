"""From a Rollout's template references to the metrics of one release."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from analysis.api.secret import SecretKeyRef
from analysis.api.template import InvalidTemplate, TemplateReference
from rollouts.core.metrics import Release, metrics_of, planned, secrets_of, template_problem
from rollouts.core.naming import Names

QUERY = 'sum(rate(errors_total{pod=~"{{pods}}",region="{{args.region}}"}[1m]))'
COMPARED = {"name": "checkout", "comparison": {}, "provider": {"prometheus": {"address": "http://p", "query": QUERY}}}
TEMPLATE = {"spec": {"args": [{"name": "region"}], "metrics": [COMPARED]}}


def release(*references, template=TEMPLATE, **metadata):
    given = references or ({"templateName": "shop", "args": [{"name": "region", "value": "eu"}]},)
    return Release(
        {"name": "payment", "namespace": "shop", "labels": {"region": "us"}, "annotations": {}, **metadata},
        Names("payment", "payment"),
        tuple(TemplateReference.model_validate(one) for one in given),
        {("shop", False): template},
    )


def changed(**spec):
    return {"spec": {**TEMPLATE["spec"], **spec}}


def problem(*references, template=TEMPLATE):
    found = release(*references, template=template)
    assert planned(found) is None
    return template_problem(found)


def test_each_version_is_asked_with_its_own_pods():
    (one,) = metrics_of(release(), str)
    assert one.metric.provider.prometheus
    assert one.baseline
    assert one.baseline.prometheus
    assert 'pod=~"payment-canary-[a-z0-9]+-[a-z0-9]+",region="eu"' in one.metric.provider.prometheus.query
    assert 'pod=~"payment-[a-z0-9]+-[a-z0-9]+",region="eu"' in one.baseline.prometheus.query


@pytest.mark.parametrize(
    ("deployment", "own", "other"),
    [
        ("payment", "payment-7d9c5b8f6-x2kqp", "payment-canary-7d9c5b8f6-x2kqp"),
        ("pay.ment", "pay.ment-7d9c5b8f6-x2kqp", "payxment-7d9c5b8f6-x2kqp"),
    ],
)
def test_pods_are_those_of_one_deployment_only(deployment, own, other):
    found = replace(release(), names=Names(deployment, "payment"))
    (one,) = metrics_of(found, str)
    assert one.baseline
    assert one.baseline.prometheus
    names = re.search('pod=~"([^"]+)"', one.baseline.prometheus.query)
    assert names
    assert re.fullmatch(names[1], own)
    assert not re.fullmatch(names[1], other)


def test_a_value_from_a_secret_is_asked_for_and_filled_in():
    reference = {
        "templateName": "shop",
        "args": [{"name": "region", "valueFrom": {"secretKeyRef": {"name": "zones", "key": "home"}}}],
    }
    found = release(reference)
    assert secrets_of(found) == {SecretKeyRef(name="zones", key="home")}
    (one,) = metrics_of(found, lambda key: f"from-{key.name}-{key.key}")
    assert one.metric.provider.prometheus
    assert 'region="from-zones-home"' in one.metric.provider.prometheus.query


def test_a_value_from_the_rollouts_own_fields():
    reference = {
        "templateName": "shop",
        "args": [{"name": "region", "valueFrom": {"fieldRef": "metadata.labels['region']"}}],
    }
    (one,) = metrics_of(release(reference), str)
    assert one.metric.provider.prometheus
    assert 'region="us"' in one.metric.provider.prometheus.query
    with pytest.raises(InvalidTemplate, match=r"this Rollout has no metadata.labels\['region'\]"):
        metrics_of(release(reference, labels={}), str)


@pytest.mark.parametrize(
    ("reference", "template", "words"),
    [
        ({"templateName": "other"}, TEMPLATE, "there is no AnalysisTemplate other"),
        ({"templateName": "shop", "clusterScope": True}, TEMPLATE, "there is no ClusterAnalysisTemplate shop"),
        ({"templateName": "shop"}, TEMPLATE, "argument 'region' has no value"),
        (
            {"templateName": "shop", "args": [{"name": "zone", "value": "x"}]},
            TEMPLATE,
            "has no argument 'zone' (it has: region)",
        ),
        ({"templateName": "shop"}, {"spec": {"metrics": []}}, "AnalysisTemplate shop: spec.metrics"),
        (
            {"templateName": "shop", "args": [{"name": "region", "value": "eu"}]},
            changed(metrics=[{**COMPARED, "name": "errors"}]),
            "a metric is called errors, which is the judge's own: rename it",
        ),
        (
            {"templateName": "shop", "args": [{"name": "region", "value": "eu"}]},
            changed(metrics=[{**COMPARED, "provider": {"prometheus": {"address": "http://p", "query": "up"}}}]),
            "metric checkout would compare the canary with itself",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(reference, template, words):
    assert words in problem(reference, template=template)


def test_two_templates_must_not_have_a_metric_in_common():
    twice = {"templateName": "shop", "args": [{"name": "region", "value": "eu"}]}
    assert "two metrics are called checkout: rename one of them" in problem(twice, twice)
