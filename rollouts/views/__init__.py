"""What people see of a release, from the API server's JSON as it is. Pure, and with nothing but the standard library: the command line starts with it."""
