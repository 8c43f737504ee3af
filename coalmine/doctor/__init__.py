"""``coalmine doctor``: what keeps Coalmine from working in a cluster, each finding with its fix."""
