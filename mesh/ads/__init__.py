"""The aggregated discovery service: what each proxy holds, what it is sent next, and what it has acknowledged.

``session`` is the protocol without I/O; ``server`` puts gRPC around it; ``acknowledgement`` turns what the sessions know
into the status of a TrafficSplit.
"""
