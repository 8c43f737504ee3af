"""How often judges are wrong, and how fast they are right."""
