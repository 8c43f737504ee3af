"""``coalmine mesh authz check -f``: policies in files, and what they do with a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.inspect.authz import authz_group

EXAMPLE = Path(__file__).parents[4] / "examples" / "mesh" / "allow-list.yaml"
WORKLOADS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: payment}
spec:
  template:
    metadata: {labels: {app: payment}}
    spec:
      serviceAccountName: payment
      containers: [{name: app, ports: [{name: http, containerPort: 8080}, {name: tcp-db, containerPort: 5432}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: other, labels: {app: other}}
spec: {containers: [{name: app}]}
"""


@pytest.fixture
def check(tmp_path):
    (tmp_path / "workloads.yaml").write_text(WORKLOADS)

    def run(*args: str):
        return CliRunner().invoke(
            authz_group, ["check", "-n", "shop", "-f", str(tmp_path), "-f", str(EXAMPLE), *args], catch_exceptions=False
        )

    return run


def test_policies_are_shown_in_the_order_in_which_they_are_asked(check, tmp_path):
    more = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: zz}\nspec: {action: DENY}\n"
    (tmp_path / "deny.yaml").write_text(more)
    result = check("payment")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "payment.shop (runs as cluster.local/ns/shop/sa/payment)"
    assert [line.split()[:3] for line in lines[2:]] == [
        ["DENY", "shop/zz", "0"],
        ["ALLOW", "shop/allow-nothing", "0"],
        ["ALLOW", "shop/payment-from-frontend", "1"],
    ]


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (
            ("--from", "frontend", "--path", "/charge?x=1"),
            0,
            "allowed by ns[shop]-policy[payment-from-frontend]-rule[0]",
        ),
        (("--from", "shop/frontend", "--path", "/charges/7", "--method", "post"), 0, "allowed by"),
        (("--from", "web/frontend", "--path", "/charge"), 1, "denied: none of the policies that allow matches it"),
        (("--path", "/charge"), 1, "denied: none"),
        (("--from", "frontend", "--port", "5432"), 1, "denied: none"),
    ],
)
def test_a_request_passes_or_not_and_says_by_which_rule(check, args, status, said):
    result = check("payment", *args)
    assert (result.exit_code, said in result.output) == (status, True), result.output


def test_without_a_name_all_workloads_in_the_files_are_shown(check):
    result = check("-o", "json", "--from", "frontend", "--path", "/charge")
    found = json.loads(result.output)
    assert {f["pod"]["name"]: f["decision"]["allowed"] for f in found} == {"payment": True, "other": False}
    assert result.exit_code == 1


def test_claims_and_headers_are_asked_with(check, tmp_path):
    conditions = "[{key: 'request.auth.claims[group]', values: [admin]}, {key: 'request.headers[X-Team]', values: [a]}]"
    more = f"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: c}}\nspec: {{rules: [{{when: {conditions}}}]}}\n"
    (tmp_path / "claims.yaml").write_text(more)
    assert check("other", "--claim", "group=admin", "--header", "x-team=a").exit_code == 0
    assert check("other", "--claim", "group=dev", "--header", "x-team=a").exit_code == 1


def test_wrong_usage_says_what_to_write(check):
    assert "write NAME.NAMESPACE or -n" in check("nobody").output
    assert "write it as name=value" in check("other", "--claim", "group").output
    result = CliRunner().invoke(authz_group, ["check"])
    assert (result.exit_code, "name a POD, or files with -f" in result.output) == (2, True)
