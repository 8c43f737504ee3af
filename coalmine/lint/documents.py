"""YAML with places: the objects of a file, and the line and column of each of their fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Document", "Trouble", "read_documents"]

_MOST_NODES: Final = 200_000
"""What aliases may grow a document to."""
_SOURCE: Final = re.compile(r"^# Source: (\S+)\s*$")
_INDEX: Final = re.compile(r"\[(\d+)\]")
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Reads what kubectl reads: dates stay text."""

    yaml_implicit_resolvers: Final = {
        first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
        for first, found in _Base.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a file, or a part of it, cannot be read; line and column from 1."""

    line: int
    column: int
    words: str


@dataclass(frozen=True)
class Document:
    """One object of a file.

    Attributes:
        file: As it was given.
        value: The object; keys are text.
        node: What it was made from.
        source: The Helm template that it was made from; empty where that is not known.
        twice: Keys that are written twice.
    """

    file: str
    value: dict[str, Any]
    node: yaml.Node
    source: str = ""
    twice: tuple[Trouble, ...] = ()

    @property
    def subject(self) -> str:
        """The object as people call it."""
        meta = self.value.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        space, name = meta.get("namespace"), meta.get("name") or meta.get("generateName")
        return f"{self.value.get('kind')} {f'{space}/' if space else ''}{name or '?'}"

    def locate(self, field: str) -> tuple[int, int]:
        """Return line and column of a field, or of the nearest parent that is there.

        Args:
            field: Path such as ``spec.http[0].match``; keys may have dots in them.
        """
        node, mark, rest = self.node, self.node.start_mark, field
        while rest:
            if isinstance(node, yaml.MappingNode) and (entry := _entry(node, rest.removeprefix("."))):
                key, node, rest = entry
                mark = key.start_mark
            elif isinstance(node, yaml.SequenceNode) and (found := _INDEX.match(rest)):
                index = int(found[1])
                if index >= len(node.value):
                    break
                node, rest = node.value[index], rest[found.end() :]
                mark = node.start_mark
            else:
                break
        return mark.line + 1, mark.column + 1


def read_documents(text: str, file: str) -> tuple[list[Document], list[Trouble]]:
    """Return the objects in a text, those of Lists too, and what cannot be read.

    What is no Kubernetes object is left out. After text that is no YAML nothing can be read of the file.

    Args:
        text: Of the file.
        file: How to call it.
    """
    documents: list[Document] = []
    trouble: list[Trouble] = []
    sources = _sources(text)
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        return documents, [_trouble(error, text)]
    try:
        while loader.check_node():
            node = loader.get_node()
            if not _bounded(node):
                mark = node.start_mark
                words = "refers to itself or grows too large by its aliases: write it out"
                trouble.append(Trouble(mark.line + 1, mark.column + 1, words))
                continue
            twice = tuple(_twice(node))
            try:
                value = _plain(loader.construct_document(node))
            except yaml.constructor.ConstructorError as error:  # the next document can be read all the same
                trouble.append(_trouble(error, text))
                continue
            documents += _objects(value, node, file, sources, twice)
    except yaml.YAMLError as error:
        trouble.append(_trouble(error, text))
    finally:
        loader.dispose()
    return documents, trouble


def _entry(node: yaml.MappingNode, path: str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """Return key, value and the rest of a path; of several keys that it may begin with, the longest."""
    best: tuple[yaml.Node, yaml.Node, str] | None = None
    for key, value in node.value:
        name = str(key.value)
        for written in (name, f"['{name}']", f"[{name}]"):
            if path.startswith(written) and (len(path) == len(written) or path[len(written)] in ".["):
                rest = path[len(written) :]
                if best is None or len(rest) <= len(best[2]):  # a later one of the same name is the one that counts
                    best = (key, value, rest)
    return best


def _objects(
    value: Any, node: yaml.Node, file: str, sources: list[tuple[int, str]], twice: tuple[Trouble, ...]
) -> Iterator[Document]:
    if not isinstance(value, dict) or not isinstance(node, yaml.MappingNode):
        return
    items = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(items, list):
        entry = _entry(node, "items")
        nodes = entry[1].value if entry else []
        for item, inner in zip(items, nodes, strict=False):
            first, last = inner.start_mark.line + 1, inner.end_mark.line + 1
            yield from _objects(item, inner, file, sources, tuple(t for t in twice if first <= t.line <= last))
    elif isinstance(value.get("kind"), str) and isinstance(value.get("apiVersion"), str):
        line = node.start_mark.line + 1
        source = next((name for at, name in reversed(sources) if at <= line), "")
        yield Document(file, value, node, source, twice)


def _sources(text: str) -> list[tuple[int, str]]:
    """Return the line of each comment in which Helm says which template follows."""
    lines = enumerate(text.splitlines(), 1) if "# Source: " in text else ()
    return [(number, found[1]) for number, line in lines if (found := _SOURCE.match(line))]


def _trouble(error: yaml.YAMLError, text: str) -> Trouble:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        context, problem = getattr(error, "context", None), getattr(error, "problem", None)
        return Trouble(mark.line + 1, mark.column + 1, "; ".join(part for part in (problem, context) if part))
    before = text[: getattr(error, "position", 0) or 0]
    line = before.count("\n") + 1
    words = " ".join(str(getattr(error, "reason", error)).split())
    return Trouble(line, len(before) - (before.rfind("\n") + 1) + 1, words)


def _bounded(root: yaml.Node) -> bool:
    """Say whether a document ends, and soon, when all aliases are followed."""
    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(node: yaml.Node) -> int:
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) in under_way:
            return _MOST_NODES + 1
        if id(node) not in sizes:
            under_way.add(id(node))
            pairs = isinstance(node, yaml.MappingNode)
            inner = [n for pair in node.value for n in pair] if pairs else node.value
            sizes[id(node)] = min(_MOST_NODES + 1, 1 + sum(size(n) for n in inner))
            under_way.discard(id(node))
        return sizes[id(node)]

    try:
        return size(root) <= _MOST_NODES
    except RecursionError:
        return False


def _twice(node: yaml.Node) -> Iterator[Trouble]:
    """Yield the keys that a mapping has twice: kubectl refuses them, and YAML libraries take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in seen:
                    words = f"{key.value} is written twice (first in line {seen[key.value]}): remove one of the two"
                    yield Trouble(line, key.start_mark.column + 1, words)
                seen.setdefault(key.value, line)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: keys are text."""
    if isinstance(value, dict):
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
