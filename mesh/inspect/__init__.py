"""What people ask the mesh on the command line: istioctl's habits."""
