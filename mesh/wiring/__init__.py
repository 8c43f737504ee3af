"""The control plane process: watches, servers, and what connects them."""
