"""What can go wrong with the local cluster.

LocalError
├── BinaryUnavailableError   no source has a program that is needed
├── StartFailedError         a component ended or did not become ready
└── KubectlError             a kubectl call failed
"""

from __future__ import annotations

__all__ = ["BinaryUnavailableError", "KubectlError", "LocalError", "StartFailedError"]


class LocalError(Exception):
    """Something that the person at the terminal can act on; the text says how."""


class BinaryUnavailableError(LocalError):
    """No source has a program that is needed."""


class StartFailedError(LocalError):
    """A component ended, or did not become ready in time."""


class KubectlError(LocalError):
    """A kubectl call failed; the text is what kubectl wrote to stderr."""
