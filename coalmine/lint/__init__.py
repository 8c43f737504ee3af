"""``coalmine lint``: what is wrong in manifests, with file, line and column, without a cluster."""
