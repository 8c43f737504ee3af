"""AnalysisTemplates: arguments, placeholders, and what is said of wrong ones."""

from pathlib import Path

import pytest
import yaml

from analysis.api.template import (
    BUILT_IN,
    InvalidTemplate,
    TemplateReference,
    parse_template,
    resolve,
    unset,
    uses_version,
)

EXAMPLES = Path(__file__).parents[4] / "examples" / "analysis" / "templates.yaml"
WEB = {"web": {"url": "http://{{service}}/{{ args.path }}", "jsonPath": "$.x"}}
BUILT_INS = dict.fromkeys(BUILT_IN, "here")


def template(metric=None, args=(), **spec):
    metrics = [{"name": "m", "provider": WEB, "thresholdRange": {"max": 1}, **(metric or {})}]
    return {"spec": {"args": list(args), "metrics": metrics, **spec}}


def problems(**changes):
    with pytest.raises(InvalidTemplate) as caught:
        parse_template(template(changes))
    return str(caught.value)


def test_placeholders_are_filled_everywhere_and_the_rest_is_kept():
    parsed = parse_template(template(args=[{"name": "path"}]))
    (metric,) = resolve(parsed, {"path": "health"}, {**BUILT_INS, "service": "payment"})
    assert metric.provider.web is not None
    assert metric.provider.web.url == "http://payment/health"
    assert metric.threshold_range == parsed.metrics[0].threshold_range


def test_an_unknown_placeholder_is_named_with_the_metric_and_the_fix():
    parsed = parse_template(template())
    with pytest.raises(InvalidTemplate, match=r"spec.metrics\[0\] \(m\): \{\{args.path\}\} is not known: declare it"):
        resolve(parsed, {}, BUILT_INS)


def test_arguments_that_are_unknown_or_missing_are_named():
    parsed = parse_template(template(args=[{"name": "path"}, {"name": "mode", "value": "fast"}]))
    reference = TemplateReference(template_name="t", args=({"name": "pth", "value": "x"},))
    unknown, missing = unset(parsed, reference)
    assert unknown == "template t has no argument 'pth' (it has: path, mode): take it out of args or correct its name"
    assert missing == "template t: argument 'path' has no value: give it in the reference's args"
    assert unset(parsed, TemplateReference(template_name="t", args=({"name": "path", "value": "x"},))) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": {}}, "a provider is exactly one of"),
        ({"provider": {**WEB, "graphite": {"address": "http://g", "query": "x"}}}, "a provider is exactly one of"),
        ({"limit": {"max": 1}}, "a metric sets exactly one of comparison, limit, thresholdRange"),
        ({"thresholdRange": {}}, "write min, max or both"),
        ({"thresholdRange": {"min": 2, "max": 1}}, "min is above max"),
        ({"baseline": WEB}, "baseline is only compared with by comparison"),
        ({"interval": "soon"}, "'soon' is not a duration"),
        ({"failureLimt": 3}, "failureLimt"),
        ({"name": "No Name"}, "spec.metrics[0].name"),
        ({"provider": {"prometeus": {}}}, "prometeus"),
    ],
)
def test_a_wrong_metric_is_refused_in_words(changes, words):
    assert words in problems(**changes)


def test_a_metric_knows_whether_its_query_differs_between_the_versions():
    by_pods = {"web": {"url": "http://{{service}}/{{pods}}", "jsonPath": "$.x"}}
    parsed = parse_template(template({"provider": by_pods}))
    assert uses_version(parsed.metrics[0])
    assert not uses_version(parse_template(template(args=[{"name": "path"}])).metrics[0])


def test_the_examples_are_valid_and_use_only_what_they_declare():
    for document in yaml.safe_load_all(EXAMPLES.read_text()):
        parsed = parse_template(document)
        values = {argument.name: argument.value or "1m" for argument in parsed.args}
        assert resolve(parsed, values, BUILT_INS)
