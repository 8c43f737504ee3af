"""The commands with which people watch and steer releases: ``coalmine get``, ``status``, ``promote`` … Also ``kubectl coalmine …``."""
