from __future__ import annotations

import importlib
import sys
from typing import get_args

import pytest

from analysis.api import services
from analysis.api.metric import Provider
from analysis.api.secret import SecretKeyRef
from analysis.providers import registry
from analysis.providers.base import ConfigurationError, Context
from analysis.providers.registry import open_settings, open_values


async def _secret(name, key):
    raise NotImplementedError


CONTEXT = Context(namespace="shop", secret=_secret, clock=lambda: 0.0)
WEB = services.Web(url="http://checks.shop")
KEY = SecretKeyRef(name="keys", key="api")


async def test_the_one_provider_that_is_set_is_opened():
    source = open_values(Provider(web=WEB), CONTEXT)
    assert type(source).__module__ == "analysis.providers.web"
    await source.close()


def test_every_provider_of_a_metric_has_a_module():
    fields = Provider.model_fields.values()
    models = {part for field in fields for part in get_args(field.annotation) if part is not type(None)}
    assert models == set(registry._MODULES)
    for module in registry._MODULES.values():
        assert callable(importlib.import_module(f"analysis.providers.{module}").open_values)


def test_what_is_no_source_of_values_is_refused():
    with pytest.raises(ConfigurationError, match="no source of values for SecretKeyRef"):
        open_settings(KEY, CONTEXT)


def test_an_account_that_is_no_number_is_refused_before_anybody_is_asked():
    with pytest.raises(ConfigurationError, match=r"newRelic\.accountId is 'shop'"):
        open_settings(services.NewRelic(account_id="shop", api_key=KEY, query="q"), CONTEXT)


@pytest.mark.parametrize(("package", "provider"), [("botocore", "cloudwatch"), ("google.auth", "stackdriver")])
def test_what_is_not_installed_is_named_with_its_extra(package, provider, monkeypatch):
    settings = {
        "cloudwatch": services.CloudWatch(region="r", metric_data_queries=({"id": "a", "expression": "b"},)),
        "stackdriver": services.Stackdriver(project="p", query="up"),
    }
    monkeypatch.delitem(sys.modules, f"analysis.providers.{provider}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"pip install coalmine\[{provider}\]"):
        open_settings(settings[provider], CONTEXT)
