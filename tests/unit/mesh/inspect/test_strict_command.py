"""What ``coalmine mesh check-strict`` says before it asks anybody."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mesh.inspect.strict import check_strict_command

PEER = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Service\nmetadata: {name: payment}\n", "there is no PeerAuthentication in it"),
        ("a: [", "is not YAML"),
        (PEER + "spec: {mtls: {mode: STRICKT}}\n", "PeerAuthentication p: spec.mtls.mode"),
    ],
)
def test_files_that_say_nothing_of_strict_are_refused(tmp_path, text, said):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    result = CliRunner().invoke(check_strict_command, ["-f", str(path)])
    assert result.exit_code == 1
    assert said in result.output


def test_wrong_usage_has_a_status_of_its_own():
    assert CliRunner().invoke(check_strict_command, ["-f", "/no/such/file"]).exit_code == 2
