"""Many proxies that connect at once: the discovery server lives, and shows a renewed certificate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

pytestmark = pytest.mark.integration

HANDSHAKES = 4_000
SERVER = """
import asyncio, datetime as dt, sys
from mesh.ads.credentials import ServerCertificate
from mesh.ads.server import AdsServer
from mesh.ca.authority import Authority
from mesh.ca.roots import first

def leaf():
    now = dt.datetime.now(dt.UTC)
    return Authority(first(now), clock=lambda: now).server("127.0.0.1")

async def main():
    made = leaf()
    certificate = ServerCertificate(made.chain, made.key)
    ads = AdsServer(lambda proxy: None, clock=asyncio.get_running_loop().time)
    print(await ads.start("127.0.0.1:0", certificate.credentials), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        made = leaf()
        certificate.renew(made.chain, made.key)
        print("renewed", flush=True)

asyncio.run(main())
"""


def shake(port: int) -> int:
    """Make a handshake as a proxy does; return the serial number of the certificate that was shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secure:
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number


async def test_handshakes_at_once_do_not_end_it():
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdin=pipe, stdout=pipe)
    assert server.stdin
    assert server.stdout
    try:
        port = int(await server.stdout.readline())
        before = await asyncio.to_thread(shake, port)
        with ThreadPoolExecutor(16) as threads:
            loop = asyncio.get_running_loop()
            shown = await asyncio.gather(*(loop.run_in_executor(threads, shake, port) for _ in range(HANDSHAKES)))
        assert set(shown) == {before}
        assert server.returncode is None
        server.stdin.write(b"\n")
        assert await server.stdout.readline() == b"renewed\n"
        after = await asyncio.to_thread(shake, port)
        assert after != before
        assert await asyncio.to_thread(shake, port) == after
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()
