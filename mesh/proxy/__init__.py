"""What one proxy gets: its bootstrap and its view of the mesh. No I/O."""
