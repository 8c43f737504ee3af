"""What the command line costs: its start, and a look at all Rollouts of a cluster."""
