"""Sources of other people: installed distributions with an entry point in the group ``coalmine.providers``.

The entry point is a callable ``open_values(config, context)``: it takes the settings under ``plugin.config`` and the
``Context``, and returns a ``ValueSource``. It raises ``ConfigurationError`` for settings that it cannot use, and
connects on the first measurement. In the distribution's ``pyproject.toml``::

    [project.entry-points."coalmine.providers"]
    weather = "coalmine_weather:open_values"
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Final

from analysis.providers.answers import number
from analysis.providers.base import ConfigurationError, SourceError

if TYPE_CHECKING:
    from analysis.api.services import Plugin
    from analysis.providers.base import Context, ValueSource

__all__ = ["GROUP", "open_values"]

GROUP: Final = "coalmine.providers"


def open_values(settings: Plugin, context: Context) -> ValueSource:
    """Return the source that a plug-in makes of its settings.

    Raises:
        ConfigurationError: It is not installed, cannot be loaded, or does not take the settings.
    """
    installed = importlib.metadata.entry_points(group=GROUP)
    if settings.name not in installed.names:
        names = ", ".join(sorted(installed.names)) or "none"
        msg = f"plugin.name is {settings.name!r}, and the installed plug-ins are {names}: install it beside the controller"
        raise ConfigurationError(msg)
    try:
        source: ValueSource = installed[settings.name].load()(settings.config, context)
    except SourceError:
        raise
    except Exception as error:
        # It is other people's code: whatever it raises is about this plug-in, and must not end the controller.
        msg = f"the plug-in {settings.name} cannot be used: {type(error).__name__}: {error}"
        raise ConfigurationError(msg) from error
    return _Guarded(settings.name, source)


class _Guarded:
    """A plug-in's source whose failures are all SourceErrors."""

    def __init__(self, name: str, source: ValueSource) -> None:
        self._name = name
        self._source = source

    async def measure(self, at: float) -> float | None:
        try:
            value = await self._source.measure(at)
        except SourceError:
            raise
        except Exception as error:
            msg = f"the plug-in {self._name} failed: {type(error).__name__}: {error}"
            raise ConfigurationError(msg) from error
        return number(value, f"the value of the plug-in {self._name}")

    async def close(self) -> None:
        await self._source.close()
