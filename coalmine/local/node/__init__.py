"""The local node: pods of a real apiserver, run as processes of this machine.

It knows Kubernetes and nothing of the mesh. What a node with containers does and this one does not: it pulls no
images (a container must say its ``command``), mounts no volumes, and sets no limits, users or namespaces; processes
share the host's file system and loopback interface, where each pod has an address of its own (``127.0.x.y``).
"""
