"""What can go wrong with the local cluster.

LocalError
├── BinaryUnavailableError   a source does not have a program, or none has
│   └── SourceUnusableError  a source cannot serve anything
├── StartFailedError         a component ended or did not become ready
└── KubectlError             a kubectl call failed
"""

from __future__ import annotations

__all__ = ["BinaryUnavailableError", "KubectlError", "LocalError", "SourceUnusableError", "StartFailedError"]


class LocalError(Exception):
    """Something that the person at the terminal can act on; the text says how."""


class BinaryUnavailableError(LocalError):
    """A source does not have a program that is needed, or none has."""


class SourceUnusableError(BinaryUnavailableError):
    """A source cannot serve anything, so that it is no use to ask it for another program."""


class StartFailedError(LocalError):
    """A component ended, or did not become ready in time."""


class KubectlError(LocalError):
    """A kubectl call failed; the text is what kubectl wrote to stderr."""
