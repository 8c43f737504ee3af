"""What the dashboard costs the controller."""
