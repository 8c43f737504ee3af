"""Before any traffic moves: what must be right for it. Pure; ``checks.CHECKS`` is the specification."""
