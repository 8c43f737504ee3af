"""What the linter says: a code with its severity, where it is, and a sentence with the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mesh.lint.findings import CODES as MESH_CODES
from mesh.lint.findings import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coalmine.lint.documents import Document

__all__ = ["CODES", "Finding", "at", "said"]

_ERROR, _WARNING, _INFO = Severity
_OWN: Final = (
    Code("CM0601", _ERROR, "A Rollout's Service and its Deployment do not fit each other"),
    Code("CM0602", _ERROR, "A Service's port leads to no port of the pods"),
    Code("CM0603", _WARNING, "Pods get requests before they say that they can answer"),
    Code("CM0604", _ERROR, "Two Rollouts release the same workload, or split the same Service"),
    Code("CM0605", _ERROR, "A name that the canary needs is taken"),
    Code("CM0606", _ERROR, "Somebody else moves the same requests"),
    Code("CM0607", _WARNING, "A Rollout names something that these files nearly have"),
    Code("CM0608", _ERROR, "Rollouts wait for each other in a circle"),
    Code("CM0609", _WARNING, "The Deployment's size or pause gets in the way of releases"),
    Code("CM0701", _WARNING, "The steps do not end at 100 percent"),
    Code("CM0702", _WARNING, "A step has no effect, or takes something back"),
    Code("CM0703", _WARNING, "A step judges requests that the canary does not get"),
    Code("CM0801", _ERROR, "An AnalysisTemplate cannot be used as it is referred to"),
)
CODES: Final[Mapping[str, Code]] = {**MESH_CODES, **{code.code: code for code in _OWN}}
"""The mesh's codes, and: 06 Rollouts beside their Deployments and Services, 07 steps, 08 AnalysisTemplates."""
_FIELD: Final = re.compile(
    r"(?P<field>(?:spec|metadata)(?:[.\[][^\s:]*)?)(?::\s+|\s+(?=is |are |has |sets ))(?P<rest>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        file: As it was given; ``<stdin>`` for standard input.
        line: From 1.
        column: From 1.
        code: Of ``CODES``.
        severity: The code's, unless the files do not hold what would be needed to be sure.
        subject: The object, such as ``Rollout shop/payment``; empty where there is none.
        field: Path in the object; empty for the whole of it.
        message: What is wrong and the fix.
        source: The template of a Helm chart that it was made from; empty where that is not known.
    """

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    subject: str
    field: str
    message: str
    source: str = ""

    @property
    def sentence(self) -> str:
        """The field and what is wrong with it."""
        if not self.field:
            return self.message
        verb = self.message.startswith(("is ", "are ", "has ", "sets "))
        return f"{self.field}{' ' if verb else ': '}{self.message}"

    @property
    def sort_key(self) -> tuple[str, int, int, int, str, str, str]:
        """By place."""
        return (self.file, self.line, self.column, self.severity.rank, self.code, self.subject, self.message)


def at(document: Document, code: str, field: str, message: str, severity: Severity | None = None) -> Finding:
    """Return a finding about a field of a document.

    Args:
        document: Where it is.
        code: Of ``CODES``.
        field: Path such as ``spec.steps[0].setWeight``; where the document does not have it, its nearest parent is
            pointed at.
        message: What is wrong and the fix.
        severity: Where it differs from the code's.
    """
    line, column = document.locate(field)
    return Finding(
        document.file,
        line,
        column,
        code,
        severity or CODES[code].severity,
        document.subject,
        field,
        message,
        document.source,
    )


def said(document: Document, code: str, sentence: str, severity: Severity | None = None, *, field: str = "") -> Finding:
    """Return a finding from a sentence that may begin with the field's path.

    Args:
        document: Where it is.
        code: Of ``CODES``.
        sentence: As the models and the controller say it.
        severity: Where it differs from the code's.
        field: Where to point when the sentence names none.
    """
    found = _FIELD.fullmatch(sentence)
    if found is None:
        return at(document, code, field, sentence, severity)
    return at(document, code, found["field"], found["rest"], severity)
