"""Which Service a host name means."""

from __future__ import annotations

import pytest

from mesh.ir.services import Service, ServicePort
from mesh.resolve.hosts import domains, service_key

KNOWN = {("shop", "payment"), ("billing", "payment")}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("payment", ("shop", "payment")),
        ("payment.billing", ("billing", "payment")),
        ("payment.billing.svc", ("billing", "payment")),
        ("payment.billing.svc.cluster.local", ("billing", "payment")),
        ("Payment.Billing.svc.cluster.local.", ("billing", "payment")),
        ("nosuch", ("shop", "nosuch")),
        ("nosuch.billing.svc", ("billing", "nosuch")),
        ("example.com", ("", "example.com")),
        ("api.example.com", ("", "api.example.com")),
    ],
)
def test_a_name_means_a_service(host, expected):
    assert service_key(host, "shop", KNOWN) == expected


def test_callers_in_the_namespace_use_the_short_name():
    port = ServicePort("http", 80, 8080)
    service = Service("shop", "payment", (port,), addresses=("10.0.0.1", "fd00::1"))
    assert domains(service, port, "shop") == (
        *("payment", "payment:80", "payment.shop", "payment.shop:80", "payment.shop.svc", "payment.shop.svc:80"),
        *("payment.shop.svc.cluster.local", "payment.shop.svc.cluster.local:80"),
        *("10.0.0.1", "10.0.0.1:80", "[fd00::1]", "[fd00::1]:80"),
    )
    assert "payment" not in domains(service, port, "billing")


def test_a_name_without_a_port_means_port_80_or_else_the_first():
    web, admin = ServicePort("web", 80, 1), ServicePort("admin", 9000, 2)
    service = Service("shop", "payment", (admin, web))
    assert "payment" in domains(service, web, "shop")
    assert domains(service, admin, "shop")[0] == "payment:9000"
    assert "payment" in domains(Service("shop", "payment", (admin,)), admin, "shop")
