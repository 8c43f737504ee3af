"""Which files are read, and what is no manifest although it looks like one."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from coalmine.lint.check import unreadable
from coalmine.lint.documents import Document, Trouble, read_documents
from coalmine.lint.findings import Finding
from mesh.lint.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Loaded", "load", "manifests_in"]

STDIN: Final = "<stdin>"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SKIPPED: Final = frozenset({".git", "node_modules", ".venv"})


@dataclass
class Loaded:
    """What was read.

    Attributes:
        documents: The objects.
        findings: What cannot be read.
        files: How many files there were.
    """

    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0


def manifests_in(folder: Path, *, recursive: bool) -> list[Path]:
    """Return the YAML and JSON files in a folder, sorted; with ``recursive`` those below it, too."""
    found = folder.rglob("*") if recursive else folder.iterdir()
    below = (p for p in found if not _SKIPPED & set(p.relative_to(folder).parts))
    return sorted(p for p in below if p.suffix in _SUFFIXES and p.is_file())


def load(paths: Sequence[Path], *, recursive: bool) -> Loaded:
    """Return the objects in files and folders; ``-`` is standard input.

    Raises:
        OSError: A file cannot be opened.
    """
    loaded = Loaded()
    patches: dict[Path, frozenset[Path]] = {}
    for file in _files(paths, recursive=recursive):
        loaded.files += 1
        if str(file) == "-":
            _read(loaded, sys.stdin.buffer.read(), STDIN)
            continue
        folder = file.parent.resolve()
        if folder not in patches:
            patches[folder] = frozenset(_patches(folder))
        if file.resolve() in patches[folder]:
            words = f"is a patch of a kustomization and not judged by itself: kustomize build {file.parent} | coalmine lint -"
            loaded.findings.append(Finding(str(file), 1, 1, "CM0001", Severity.INFO, "", "", words))
            continue
        _read(loaded, file.read_bytes(), str(file))
    return loaded


def _files(paths: Iterable[Path], *, recursive: bool) -> Iterator[Path]:
    seen = set()
    for path in paths:
        for file in manifests_in(path, recursive=recursive) if path.is_dir() else [path]:
            if file not in seen:
                yield file
            seen.add(file)


def _read(loaded: Loaded, content: bytes, name: str) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        loaded.findings.append(unreadable(name, Trouble(line, 1, "is not UTF-8: save it as such")))
        return
    if name.endswith(".json"):
        text = text.replace("\t", " ")  # JSON may be indented with them, and YAML may not
    documents, trouble = read_documents(text, name)
    if "apiVersion" not in text:
        return  # somebody else's, with tags and dialects of its own
    if trouble and "{{" in text and name != STDIN:
        words = "is a template and not judged by itself: helm template RELEASE CHART | coalmine lint -"
        loaded.findings.append(Finding(name, 1, 1, "CM0001", Severity.INFO, "", "", words))
        return
    loaded.documents += documents
    loaded.findings += [unreadable(name, one) for one in trouble]


def _patches(folder: Path) -> Iterator[Path]:
    """Yield the files that a kustomization of the folder names as patches."""
    for name in _KUSTOMIZATIONS:
        try:
            content = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        for path in _named(content if isinstance(content, dict) else {}):
            yield (folder / path).resolve()


def _named(kustomization: dict[str, Any]) -> Iterator[str]:
    for key in ("patches", "patchesStrategicMerge", "patchesJson6902"):
        entries = kustomization.get(key)
        for entry in entries if isinstance(entries, list) else ():
            path = entry.get("path") if isinstance(entry, dict) else entry
            if isinstance(path, str) and "\n" not in path:
                yield path
