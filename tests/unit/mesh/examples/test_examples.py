"""The tutorials' scenarios in ``examples/mesh``: each is right by itself, and some test sends requests through it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.inspect.analysis import analyze_command

ROOT = Path(__file__).parents[4]
EXAMPLES = sorted((ROOT / "examples" / "mesh").glob("*.yaml"))
CANARY = """
kind: Service
apiVersion: v1
metadata: {name: payment-canary, namespace: shop}
spec: {selector: {app: payment-canary}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""
TESTS = {p: p.read_text() for p in (ROOT / "tests" / "integration").rglob("test_*.py")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_analyze_has_nothing_to_say_of_it_beside_the_shop(example, tmp_path):
    canary = tmp_path / "canary.yaml"
    canary.write_text(CANARY)
    paths = (example, ROOT / "examples" / "shop" / "deploy", ROOT / "deploy" / "mesh" / "gateway.yaml", canary)
    arguments = ["-n", "shop", "--fail-on", "info", *(part for path in paths for part in ("-f", str(path)))]
    done = CliRunner().invoke(analyze_command, arguments)
    assert done.exit_code == 0, done.output
    assert "Nothing to report" in done.output


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_it_is_run_by_a_test_with_real_requests_and_listed_for_people(example):
    loading = (f'"{example.name}"', f'example("{example.stem}")')
    users = [p for p, text in TESTS.items() if "pytest.mark.integration" in text and any(w in text for w in loading)]
    assert users, f"no test under tests/integration loads {example.name}"
    readme = (example.parent / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if f"]({example.name})" in line]
    assert any(str(user.parent.relative_to(ROOT)) in line for user in users), (
        f"the README names no test of {example.name}"
    )
