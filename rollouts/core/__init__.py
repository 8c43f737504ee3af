"""The controller's decisions as pure functions: ``decide(observed, now) -> Plan``. No I/O, no clock."""
