"""How traffic is moved: one module per mesh, one contract."""
