"""Resources to intermediate representation. No I/O."""
