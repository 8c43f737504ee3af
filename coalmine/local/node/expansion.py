"""Expansion of ``$(VAR)`` as Kubernetes defines it for command, args and env.

Source: k8s.io/kubernetes third_party/forked/golang/expansion/expand.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["expand"]

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each ``$(NAME)`` in a text.

    ``$$`` stands for one dollar, so that ``$$(NAME)`` becomes the text ``$(NAME)``. A name without a value, a
    reference without its closing parenthesis and a lone dollar stay as they are.

    Args:
        text: What the pod's author wrote.
        variables: Values by name.

    Returns:
        The expanded text; values are not expanded again.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return variables.get(name, match.group(0))

    return _REFERENCE.sub(replacement, text)
