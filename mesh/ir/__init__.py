"""What the mesh does, in its own words: frozen values between the Kubernetes resources and Envoy's configuration.

``mesh.resolve`` makes them from resources, ``mesh.xds`` turns them into Envoy's messages. They hold no resource, no
protobuf message and no reference to the outside, so a reader can diff two of them, and two that are equal give the
same configuration. No I/O.
"""
