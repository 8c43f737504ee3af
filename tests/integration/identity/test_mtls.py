"""Who is who between two real sidecars, and what a port takes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _no_rules_left(mesh) -> Iterator[None]:
    yield
    mesh.kubectl("delete", "peerauthentication", "--all", "-n", mesh.namespace)


def server_names(address: str, port: int) -> list[str]:
    """Shake hands without a certificate; return the SPIFFE ids that the server shows before it hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    with socket.create_connection((address, port), 10) as plain, context.wrap_socket(plain) as tls:
        shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        # With TLS 1.3 the server hangs up after the client's part of the handshake, which shows no certificate.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: payment\r\n\r\n")
            assert tls.recv(1) == b"", "a caller without a certificate got an answer"
    return names.get_values_for_type(x509.UniformResourceIdentifier)


async def test_both_sides_know_who_the_other_is(mesh):
    seen = await mesh.call()
    peer = dict(part.split("=", 1) for part in seen["x-forwarded-client-cert"].split(";"))
    assert peer["URI"] == mesh.principal("caller")
    assert peer["By"] == mesh.principal("payment")
    assert server_names(mesh.address("payment"), 15006) == [mesh.principal("payment")]


async def test_permissive_takes_both_and_no_caller_makes_up_who_it_is(mesh):
    assert await mesh.plaintext() == "200"
    made_up = {"x-forwarded-client-cert": f"URI={mesh.principal('caller')}"}
    url = f"http://{mesh.address('payment')}:15006/"
    async with aiohttp.ClientSession() as session, session.get(url, headers=made_up) as response:
        assert "x-forwarded-client-cert" not in await response.json()


async def test_strict_refuses_plaintext_and_takes_the_mesh(mesh, eventually):
    mesh.peers("STRICT")
    await eventually(mesh.plaintext, lambda found: found != "200")
    assert "x-forwarded-client-cert" in await mesh.call()


async def test_disable_takes_plaintext_and_callers_speak_it(mesh, eventually):
    mesh.peers("DISABLE")

    async def told() -> bool:
        return "x-forwarded-client-cert" in await mesh.call()

    await eventually(told, wanted=False)
    assert await mesh.plaintext() == "200"


async def test_a_port_of_its_own_mode(mesh, eventually):
    selector = {"matchLabels": {"app": "payment"}}
    mesh.peers("STRICT", name="payment", selector=selector, portLevelMtls={"8080": {"mode": "PERMISSIVE"}})
    mesh.peers("STRICT")

    async def caller() -> str:
        return await mesh.plaintext("caller")

    await eventually(caller, lambda found: found != "200")
    assert await mesh.plaintext("payment") == "200"


async def test_a_pod_without_a_sidecar_is_called_in_plaintext(mesh, eventually):
    mesh.deploy("legacy", inject=False)
    mesh.available()

    async def called() -> Any:
        return (await mesh.call("legacy")).get("x-forwarded-client-cert", "none")

    await eventually(called, "none")
