"""Every alert, by Prometheus' own tool: it fires when it should, and does not when it should not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
CASES = yaml.safe_load((Path(__file__).parent / "alerts.yaml").read_text())


def labelled(alert: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{k}="{v}"' for k, v in {"alertname": alert, "alertstate": "firing", **labels}.items())
    return f"ALERTS{{{pairs}}}"


def case(alert: str, kind: str) -> dict:
    asked = CASES[alert]
    fired = [{"labels": labelled(alert, asked["labels"]), "value": 1}] if kind == "fires" else []
    expr = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    return {
        "name": f"{alert} {kind}",
        "interval": "1m",
        "input_series": [{"series": s, "values": str(v)} for s, v in asked[kind].items()],
        "promql_expr_test": [{"expr": expr, "eval_time": asked["at"], "exp_samples": fired}],
    }


def test_the_rules_are_valid_and_lint_finds_nothing(promtool):
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_fires_and_is_quiet_as_it_should(promtool, tmp_path):
    alerts = [r["alert"] for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]
    assert list(CASES) == alerts, "each alert has its case, in the order of the rules"
    tests = [case(alert, kind) for alert in alerts for kind in ("fires", "quiet")]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    said = promtool("test", "rules", str(file))
    assert said.returncode == 0, said.stdout + said.stderr
