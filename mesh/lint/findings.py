"""What a check says: a code with its severity, the object, the field, and a sentence with the fix."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.resolve.problems import Ref

__all__ = ["CODES", "Code", "Finding", "Severity", "finding"]


class Severity(enum.StrEnum):
    """How bad it is."""

    ERROR = "Error"
    """Requests fail, or what is written is not done."""
    WARNING = "Warning"
    """It works, and not as it reads, or not when it matters."""
    INFO = "Info"
    """Worth to know; nothing has to be done."""

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding. The code never changes its meaning, so that people can suppress it."""

    code: str
    severity: Severity
    title: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one object.

    Attributes:
        code: Of ``CODES``.
        severity: The code's, or ``INFO`` where the files given do not hold what would be needed to know.
        ref: The object.
        field: Path in the object, such as ``spec.http[0].route[1].destination.subset``; empty for the whole of it.
        message: What is wrong and the fix.
    """

    code: str
    severity: Severity
    ref: Ref
    field: str
    message: str

    @property
    def sort_key(self) -> tuple[int, str, str, str, str, str, str]:
        """The worst first, then by object."""
        ref = self.ref
        return (self.severity.rank, ref.namespace, ref.kind, ref.name, self.code, self.field, self.message)


_ERROR, _WARNING, _INFO = Severity
_CODES: Final = (
    Code("CM0001", _ERROR, "The API server or the mesh cannot read the resource"),
    Code("CM0002", _WARNING, "A field is set that the mesh does not implement"),
    Code("CM0003", _ERROR, "The resource is valid, and cannot be applied"),
    Code("CM0004", _WARNING, "What is written has no effect, or a smaller one"),
    Code("CM0101", _ERROR, "A route names a subset that no DestinationRule defines"),
    Code("CM0102", _ERROR, "A host names no Service"),
    Code("CM0103", _WARNING, "Weights do not add up to 100"),
    Code("CM0104", _WARNING, "Several VirtualServices for one host"),
    Code("CM0105", _WARNING, "Several DestinationRules for one host"),
    Code("CM0106", _WARNING, "Retries do not fit into the timeout"),
    Code("CM0107", _WARNING, "A rule is never reached"),
    Code("CM0108", _ERROR, "A VirtualService names a Gateway that does not exist"),
    Code("CM0109", _ERROR, "A destination's port is missing or not the Service's"),
    Code("CM0201", _WARNING, "Outlier detection ejects after fewer than 5 errors"),
    Code("CM0202", _WARNING, "Outlier detection may eject more than half of the pods"),
    Code("CM0203", _INFO, "Outlier detection without its own bounds"),
    Code("CM0204", _WARNING, "Outlier detection can eject nobody"),
    Code("CM0205", _WARNING, "HTTP/2 upgrade onto an HTTP/1 port"),
    Code("CM0206", _WARNING, "Pods are in two subsets of a host"),
    Code("CM0207", _WARNING, "A subset chooses no pod"),
    Code("CM0301", _WARNING, "A Service selects pods of several workloads"),
    Code("CM0302", _WARNING, "A workload's selector also selects another's pods"),
    Code("CM0303", _ERROR, "Two backends of a TrafficSplit have the same pods"),
    Code("CM0304", _INFO, "A Service port does not say its protocol"),
    Code("CM0401", _WARNING, "Pods without a sidecar in a namespace that asks for it"),
    Code("CM0402", _WARNING, "Pods without the sidecar that their own label asks for"),
    Code("CM0403", _WARNING, "hostNetwork pods cannot have a sidecar"),
    Code("CM0404", _WARNING, "STRICT refuses callers that were seen to speak plaintext"),
    Code("CM0405", _WARNING, "Requests come around a TrafficSplit"),
    Code("CM0501", _ERROR, "A certificate of a Gateway cannot be used"),
    Code("CM0502", _WARNING, "Servers of Gateways cannot be together"),
    Code("CM0503", _ERROR, "A VirtualService's hosts are not served by its Gateway"),
    Code("CM0504", _ERROR, "A route of the Gateway API is refused, or leads nowhere"),
    Code("CM0505", _ERROR, "A Gateway or a listener of the Gateway API cannot be used"),
)
CODES: Final[Mapping[str, Code]] = {code.code: code for code in _CODES}
"""All codes: 00 any resource, 01 VirtualService, 02 DestinationRule, 03 Services and workloads, 04 pods, 05 gateways."""


def finding(code: str, ref: Ref, field: str, message: str, severity: Severity | None = None) -> Finding:
    """Return a finding with its code's severity.

    Args:
        code: Of ``CODES``.
        ref: The object.
        field: Path of the field.
        message: What is wrong and the fix.
        severity: Where it differs from the code's.
    """
    return Finding(code, severity or CODES[code].severity, ref, field, message)
