"""Plug-ins: a small distribution on ``sys.path``, as pip would install it."""

from __future__ import annotations

import math

import pytest

from analysis.api.services import Plugin
from analysis.providers.base import ConfigurationError, Context, UnavailableError
from analysis.providers.registry import open_settings

MODULE = """
from analysis.providers.base import ConfigurationError, UnavailableError

class Weather:
    def __init__(self, config, context):
        self.config, self.context, self.closed = config, context, False

    async def measure(self, at):
        match self.config["answer"]:
            case "crash":
                raise ZeroDivisionError("no weather today")
            case "down":
                raise UnavailableError("the station is asleep", retry_after=7)
            case answer:
                return answer

    async def close(self):
        self.closed = True

def open_values(config, context):
    if "answer" not in config:
        raise ConfigurationError("plugin.config.answer is missing: write the temperature")
    if config["answer"] == "explode":
        raise RuntimeError("boom")
    return Weather(config, context)
"""


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """The distribution ``coalmine-weather`` with one entry point, and one that is broken."""
    (tmp_path / "coalmine_weather.py").write_text(MODULE)
    info = tmp_path / "coalmine_weather-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coalmine-weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[coalmine.providers]\nweather = coalmine_weather:open_values\nbroken = coalmine_nowhere:open_values\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


async def _secret(name, key):
    return f"{name}/{key}"


CONTEXT = Context(namespace="shop", secret=_secret, clock=lambda: 0.0)


def plugin(name, **config):
    return open_settings(Plugin(name=name, config=config), CONTEXT)


@pytest.mark.parametrize(("answer", "value"), [(21.5, 21.5), (3, 3.0), (True, 1.0), (None, None), (math.nan, None)])
async def test_an_installed_plug_in_measures(answer, value):
    source = plugin("weather", answer=answer)
    assert await source.measure(0) == value
    await source.close()


def test_one_that_is_not_installed_lists_those_that_are():
    with pytest.raises(ConfigurationError, match=r"'wheather'.*broken, weather"):
        plugin("wheather")


def test_none_at_all_are_listed_as_none(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.path", [str(tmp_path / "empty")])
    with pytest.raises(ConfigurationError, match="installed plug-ins are none"):
        plugin("weather")


def test_its_own_check_of_the_settings_is_passed_on():
    with pytest.raises(ConfigurationError, match="write the temperature"):
        plugin("weather")


@pytest.mark.parametrize(("name", "words"), [("broken", "coalmine_nowhere"), ("weather", "RuntimeError: boom")])
def test_one_that_cannot_be_opened_is_named(name, words):
    with pytest.raises(ConfigurationError, match=rf"plug-in {name} cannot be used.*{words}"):
        plugin(name, answer="explode")


async def test_one_that_crashes_does_not_crash_us():
    with pytest.raises(ConfigurationError, match="weather failed: ZeroDivisionError: no weather today"):
        await plugin("weather", answer="crash").measure(0)


async def test_its_outages_are_passed_on():
    with pytest.raises(UnavailableError) as raised:
        await plugin("weather", answer="down").measure(0)
    assert raised.value.retry_after == 7


async def test_an_answer_that_is_no_number_is_named():
    with pytest.raises(ConfigurationError, match="weather is 'sunny', not a number"):
        await plugin("weather", answer="sunny").measure(0)
