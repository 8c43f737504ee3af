"""What people may ask the control plane about itself."""

from __future__ import annotations

from mesh.api.debug import Ejection
from mesh.ir.services import Endpoint, Service
from mesh.ir.traffic import ClusterKey
from mesh.resolve.world import World
from mesh.wiring.debug import ejections


def test_what_outlier_detection_has_taken_out_is_told_by_service():
    endpoints = {("shop", "payment"): {80: (Endpoint("10.0.0.1", 80, "a"), Endpoint("10.0.0.2", 80, "b"))}}
    world = World({key: Service(*key, ports=()) for key in endpoints}, {}, endpoints)
    found = ejections(
        world,
        {
            "shop/front-1": {
                ClusterKey("shop", "payment", 80).name: 1,
                ClusterKey("shop", "payment", 80, "v2").name: 0,
                ClusterKey("", "api.example.com", 443).name: 2,
            },
        },
    )
    assert found.ejections == (
        Ejection(proxy="shop/front-1", namespace="", service="api.example.com", port=443, ejected=2),
        Ejection(proxy="shop/front-1", namespace="shop", service="payment", port=80, ejected=1, total=2),
    )
