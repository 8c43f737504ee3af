"""How the graph is shown."""

from __future__ import annotations

from mesh.api.debug import Edge, Graph, Node
from mesh.inspect.screens import milliseconds, percent
from mesh.inspect.traffic import as_dot


def edge(**changes):
    values = {
        "source": Node(namespace="shop", name="front"),
        "destination": Node(namespace="shop", name="payment"),
        "backend": "payment-canary",
        "version": "v2",
        "pods": 1,
        "requests": 100,
        "request_errors": 2,
        "attempts": 100,
        "attempt_errors": 2,
        "rate": 10.0,
        "p50_ms": 1.25,
        "p99_ms": 120.4,
    }
    return Edge(**(values | changes))


def test_dot_names_both_ends_the_version_and_how_well_it_goes():
    made = as_dot(Graph(seconds=10, edges=(edge(), edge(pods=0, request_errors=0, p99_ms=None))))
    assert made.splitlines()[3:5] == [
        '  "front.shop" -> "payment.shop" [label="payment-canary v2: 10.0/s, 2.00 % errors, p99 120 ms", color=red];',
        '  "front.shop" -> "payment.shop" [label="(no pod): 10.0/s, 0 % errors, p99 -"];',
    ]
    assert made.endswith("}\n")


def test_a_graph_survives_the_wire():
    found = Graph(seconds=10, edges=(edge(),))
    assert Graph.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_numbers_are_short_and_nothing_is_a_dash():
    assert [percent(s) for s in (None, 0.0, 0.001, 0.5, 1.0)] == ["-", "0 %", "0.10 %", "50 %", "100 %"]
    assert [milliseconds(v) for v in (None, 0.25, 99.9, 1234.5)] == ["-", "0.2 ms", "99.9 ms", "1234 ms"]
