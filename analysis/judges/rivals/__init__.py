"""How other tools decide, re-implemented from their documentation, to run beside ours on the same counts."""
