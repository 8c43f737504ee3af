"""A Service's annotation, from the API server to the windows that the judge reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from mesh.api.telemetry import TelemetryWindow

if TYPE_CHECKING:
    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

ANNOTATION = "mesh.coalmine.dev/routes"


async def ask(shop: Any, method: str, path: str) -> None:
    url = f"http://payment{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, proxy=shop.proxy) as response:
        await response.read()


async def kinds(mesh: LocalCluster, shop: Any, wanted: set[str]) -> set[str]:
    """Read the stream until windows held all of these kinds, and return all that they held."""
    url = f"{mesh.mesh_url}/v1/telemetry/{shop.namespace}/payment"
    found: set[str] = set()
    async with asyncio.timeout(120), aiohttp.ClientSession() as session, session.get(url) as response:
        async for line in response.content:
            found |= {row.route for row in TelemetryWindow.model_validate_json(line).pods}
            if wanted <= found:
                return found
    raise AssertionError(f"the stream ended with {found}")


async def test_what_a_service_names_is_told_apart_and_what_it_cannot_name_is_told(shop, mesh):
    shop.acknowledged(shop.split(payment=90, payment_canary=10))
    where = ("-n", shop.namespace)
    shop.kubectl("annotate", "service", "payment", *where, f"{ANNOTATION}=GET /charge, charge")

    event = shop.event("Invalid")
    assert event["note"].startswith(f"metadata.annotations[{ANNOTATION}]: 'charge' is left out: write what")
    assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("Service", "payment")

    shop.acknowledged(shop.split(payment=91, payment_canary=9))  # each proxy has what was observed before it, too
    for method, path in (("GET", "/charge"), ("POST", "/charge"), ("GET", "/healthz")):
        await ask(shop, method, path)
    wanted = {"GET /charge", "write", "read"}
    assert await kinds(mesh, shop, wanted) == wanted
