"""Resources of the mesh as pydantic models, and the names everyone agrees on. No I/O."""
