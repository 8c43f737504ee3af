"""The intermediate representation between resources and xDS. No I/O."""
