"""What <TAB> offers: commands, options, and names from the cluster."""
