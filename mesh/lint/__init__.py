"""What is wrong, risky or without effect in a mesh's resources, each with a code and the fix. Pure."""
