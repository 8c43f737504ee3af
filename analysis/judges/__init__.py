"""Evidence to verdict. No I/O."""
