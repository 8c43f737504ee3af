"""What Job is made for a measurement. Real Jobs are in tests/integration/providers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.api.services import Job
from analysis.providers.base import ConfigurationError, Context, UnavailableError
from analysis.providers.registry import open_settings

SPEC = {"template": {"spec": {"containers": [{"name": "check", "image": "checks"}]}}}


class Cluster:
    """Keeps the Jobs it is asked for, and answers with a status."""

    def __init__(self, *conditions):
        self.status = {"conditions": [{"type": kind, "status": status} for kind, status in conditions]}
        self.made = []

    async def run(self, job):
        self.made.append(job)
        return {**job, "status": self.status}


async def _secret(name, key):
    raise NotImplementedError


def source(cluster, subject="payment/7d9c/smoke", **settings):
    context = Context("shop", _secret, lambda: 0.0, subject=subject, jobs=cluster)
    return open_settings(Job.model_validate({"spec": SPEC, **settings}), context)


@pytest.mark.parametrize(
    ("conditions", "value"),
    [
        ([("Complete", "True")], 1.0),
        ([("SuccessCriteriaMet", "True"), ("Complete", "True")], 1.0),
        ([("Failed", "True")], 0.0),
        ([("FailureTarget", "True"), ("Failed", "True")], 0.0),
        ([("Suspended", "False"), ("Complete", "True")], 1.0),
    ],
)
async def test_success_is_1_and_failure_is_0(conditions, value):
    assert await source(Cluster(*conditions)).measure(7) == value


@pytest.mark.parametrize("conditions", [[], [("Suspended", "True")], [("Complete", "False")]])
async def test_what_has_not_ended_is_no_verdict(conditions):
    with pytest.raises(UnavailableError, match="has not ended"):
        await source(Cluster(*conditions)).measure(7)


async def test_what_the_spec_says_stays_and_what_it_does_not_is_safe():
    cluster = Cluster(("Complete", "True"))
    pod = {"restartPolicy": "OnFailure", **SPEC["template"]["spec"]}
    template = {"metadata": {"labels": {"team": "shop"}}, "spec": pod}
    await source(cluster, spec={"template": template, "backoffLimit": 3}).measure(7)
    await source(cluster).measure(7)
    said, silent = (job["spec"] for job in cluster.made)
    assert (said["backoffLimit"], said["template"]["spec"]["restartPolicy"]) == (3, "OnFailure")
    assert said["template"]["metadata"]["labels"]["team"] == "shop"
    assert (silent["backoffLimit"], silent["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert silent["template"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "coalmine"


def test_without_a_cluster_it_says_so():
    with pytest.raises(ConfigurationError, match="needs a cluster"):
        source(None)


@given(st.lists(st.tuples(st.text(max_size=80), st.integers(0, 10)), min_size=2, unique=True, max_size=4))
async def test_each_measurement_has_one_name_that_kubernetes_takes(measurements):
    cluster = Cluster(("Complete", "True"))
    for _ in range(2):
        for subject, at in measurements:
            await source(cluster, subject=subject).measure(1_700_000_000 + at)
    names = [job["metadata"]["name"] for job in cluster.made]
    assert names[: len(measurements)] == names[len(measurements) :]
    assert len(set(names)) == len(measurements)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", name) for name in names)
