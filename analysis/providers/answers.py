"""From a service's answer to one number. What is not one number is an error that says how to make it one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import jsonpath
from jsonpath.selectors import Filter

from analysis.api.paths import compile_path
from analysis.providers.base import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["at_path", "cell", "number", "quoted", "single"]

Item = TypeVar("Item")

_LONGEST = 200


def number(value: Any, where: str) -> float | None:
    """Return a value as a number; None when there is none: null, NaN, infinite.

    Args:
        value: A number, a number as text (as Prometheus writes it), true (1) or false (0).
        where: What it is, for the message.

    Raises:
        ConfigurationError: It is something else.
    """
    match value:
        case None:
            return None
        case bool() | int() | float():
            pass
        case str() if _is_number(value):
            pass
        case _:
            msg = f"{where} is {quoted(value)}, not a number: ask for a number"
            raise ConfigurationError(msg)
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def single(items: Sequence[Item], what: str, query: str, fix: str) -> Item | None:
    """Return the only item; None when there is none.

    Args:
        items: What the service answered with.
        what: What they are: ``series``.
        query: The query, for the message.
        fix: How to make one of them.

    Raises:
        ConfigurationError: There are several.
    """
    if len(items) > 1:
        msg = f"the query {quoted(query)} returns {len(items)} {what}, and one number is needed: {fix}"
        raise ConfigurationError(msg)
    return items[0] if items else None


def cell(row: Mapping[str, Any], column: str | None, query: str, *, ignore: Collection[str] = ()) -> float | None:
    """Return the number in a row of a table.

    Args:
        row: Values by column.
        column: Which one; None for the only one with a number.
        query: The query, for the message.
        ignore: Columns that are never the value, such as times.

    Raises:
        ConfigurationError: There is no such column, or several that it could be.
    """
    if column is not None:
        if column not in row:
            msg = f"column {column} is not in the answer to {quoted(query)}: write one of {', '.join(row) or 'no columns'}"
            raise ConfigurationError(msg)
        return number(row[column], f"column {column} of the answer to {quoted(query)}")
    values = {name: value for name, value in row.items() if name not in ignore}
    numbers = [name for name, value in values.items() if isinstance(value, int | float)]
    if len(numbers) > 1:
        msg = f"the answer to {quoted(query)} has the columns {', '.join(numbers)}: write in column which one is the value"
        raise ConfigurationError(msg)
    if not numbers and any(value is not None for value in values.values()):
        msg = f"the answer to {quoted(query)} has no column of numbers, only {', '.join(values)}: ask for a number"
        raise ConfigurationError(msg)
    return number(values[numbers[0]], numbers[0]) if numbers else None


def at_path(document: Any, path: str, service: str) -> float | None:
    """Return the number that a JSONPath leads to; None when what it leads through is empty, null or filtered out.

    Raises:
        ConfigurationError: It leads nowhere, to several values, or to what is not a number.
    """
    compiled = compile_path(path)
    found = _matches(document, compiled)
    if len(found) > 1:
        msg = (
            f"{path} leads to {len(found)} values in {service}'s answer, and one number is needed: choose one, like [0]"
        )
        raise ConfigurationError(msg)
    if found:
        return number(found[0], f"{path} in {service}'s answer")
    reached, ends_at = _deepest(document, compiled)
    filtered = any(isinstance(selector, Filter) for selector in ends_at)
    if filtered or all(value is None or value in ({}, []) for value in reached):
        return None
    shown = "; ".join(f"{{{', '.join(value)}}}" if isinstance(value, dict) else quoted(value) for value in reached[:3])
    msg = f"{path} leads nowhere in {service}'s answer: it stops at {shown}; correct the path"
    raise ConfigurationError(msg)


def quoted(value: object) -> str:
    """Return a value for a message: in one line, and not too long."""
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _matches(document: Any, path: jsonpath.JSONPath) -> list[Any]:
    if not path.segments:
        return [document]
    # The library would take a text for JSON that is still to be parsed.
    return path.findall(document) if isinstance(document, dict | list) else []


def _deepest(document: Any, path: jsonpath.JSONPath) -> tuple[list[Any], Sequence[object]]:
    """Return what the longest part of a path leads to that leads anywhere, and the selectors that lead no further."""
    for length in range(len(path.segments) - 1, 0, -1):
        part = jsonpath.JSONPath(env=path.env, segments=path.segments[:length])
        if found := _matches(document, part):
            return found, path.segments[length].selectors
    return [document], path.segments[0].selectors


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
