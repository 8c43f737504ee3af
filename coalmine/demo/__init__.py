"""Four releases of a small shop, end to end."""
