"""How both processes log: lines for people, or one JSON object a line, with the release that a line belongs to.

What is bound in a task stands in all lines that it and the tasks which it starts write. Nothing secret is ever bound.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMATS", "LogFormat", "bind", "bound", "configure"]

LogFormat = Literal["text", "json"]
FORMATS: Final = get_args(LogFormat)
_BOUND: ContextVar[Mapping[str, str]] = ContextVar("bound", default=MappingProxyType({}))
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s%(context)s"
_FIELDS: Final = {"timestamp": "time", "levelname": "level", "name": "logger"}
"""What JSON calls the fields; the rest is ``message``, what is bound, and ``exc_info`` where there was an error."""


def bind(**fields: str) -> None:
    """Add fields to all lines that this task writes from now on, and the tasks that it starts; empty ones are left out."""
    _BOUND.set({**_BOUND.get(), **fields})


def bound() -> Mapping[str, str]:
    """Return what is bound in this task, without what is empty."""
    return {name: value for name, value in _BOUND.get().items() if value}


def configure(log_format: LogFormat, *, packages: tuple[str, ...], verbose: bool = False) -> None:
    """Log to standard error from now on.

    Args:
        log_format: ``text`` or ``json``.
        packages: Those of which all is logged that is told about at INFO, or with ``verbose`` at DEBUG. Of others: INFO.
        verbose: Say more.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_Context(log_format))
    handler.setFormatter(_json() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for package in packages:
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)


class _Context(logging.Filter):
    """Puts what is bound on each line."""

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._text = log_format == "text"

    def filter(self, record: logging.LogRecord) -> bool:
        fields = bound()
        if self._text:
            record.context = "".join(f" {name}={value}" for name, value in fields.items())
        else:
            record.__dict__.update(fields)
        return True


def _json() -> JsonFormatter:
    names = ("levelname", "name", "message")
    return JsonFormatter(list(names), rename_fields=_FIELDS, timestamp="timestamp", json_ensure_ascii=False)
