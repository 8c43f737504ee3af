from __future__ import annotations

import pytest

from coalmine.local.node.expansion import expand

VARIABLES = {"VAR_A": "A", "VAR_B": "B", "EMPTY": "", "NESTED": "$(VAR_A)"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        # The cases of Kubernetes' own expansion test.
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)-$(VAR_B)", "A-B"),
        ("$(EMPTY)_", "_"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("$(VAR_A", "$(VAR_A"),
        ("foo$", "foo$"),
        ("$VAR_A", "$VAR_A"),
        ("$()", "$()"),
        ("$(NESTED)", "$(VAR_A)"),
        ("$$ $", "$ $"),
        ("a$(VAR_A)$(", "aA$("),
    ],
)
def test_references_are_expanded_as_kubernetes_does_it(text, expanded):
    assert expand(text, VARIABLES) == expanded
