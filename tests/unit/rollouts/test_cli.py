"""The controller's commands."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from rollouts.api.installed import every_policy
from rollouts.cli import controller


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_policies_are_printed_as_the_controller_would_install_it(version):
    printed = CliRunner().invoke(controller, ["policy", "--version", version])
    assert printed.exit_code == 0
    assert list(yaml.safe_load_all(printed.output)) == every_policy(version)


@pytest.mark.parametrize("name", ["*", "shop,bank", "Shop", "-shop", ""])
def test_a_namespace_is_named_exactly(name):
    answered = CliRunner().invoke(controller, ["run", "--mesh-url=http://mesh", "--namespace", name])
    assert answered.exit_code == 2
    assert "is no namespace's name: write one, and repeat --namespace for others" in answered.output
