"""The canary controller: gather, decide, apply."""
