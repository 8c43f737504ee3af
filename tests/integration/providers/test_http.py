"""The door to HTTP, over real sockets: what is tried again, TLS, and what messages must not hold."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from analysis.api.services import Web
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.registry import open_settings

pytestmark = pytest.mark.integration

AT = 1_700_000_000.0


@pytest.fixture
async def source(context):
    """Opens a web source with settings and secrets."""
    opened = []

    def open_(settings, **secrets):
        opened.append(open_settings(Web.model_validate(settings), context({"s": secrets})))
        return opened[-1]

    yield open_
    for source in opened:
        await source.close()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_stumbles_is_asked_again_at_once(status, double, source):
    double.says(status=status, text="")
    double.says(status=status, text="")
    double.says(body=0.25)
    assert await source({"url": double.address}).measure(AT) == 0.25
    assert len(double.seen) == 3


async def test_a_gateway_that_stays_down_is_left_alone(double, source):
    double.says(status=502, text="")
    with pytest.raises(UnavailableError, match="502"):
        await source({"url": double.address}).measure(AT)
    assert len(double.seen) == 3


async def test_who_asks_to_be_left_alone_is(double, source):
    double.says(status=503, text="", headers={"Retry-After": "30"})
    with pytest.raises(UnavailableError) as raised:
        await source({"url": double.address}).measure(AT)
    assert raised.value.retry_after == 30
    assert len(double.seen) == 1


async def test_a_connection_that_breaks_is_made_again(double, source):
    async def hang_up(request):
        request.transport.abort()
        return web.Response()

    double.answers.append(hang_up)
    double.says(body=0.25)
    assert await source({"url": double.address}).measure(AT) == 0.25


async def test_what_may_do_something_is_asked_once(double, source):
    double.says(status=503, text="")
    double.says(body=0.25)
    with pytest.raises(UnavailableError):
        await source({"url": double.address, "method": "POST", "body": "x"}).measure(AT)
    assert [seen["text"] for seen in double.seen] == ["x"]


async def test_messages_hold_no_secret_of_the_address(double, source):
    double.says(status=500, text="")
    address = double.address.replace("://", "://user:hunter22@")
    with pytest.raises(UnavailableError) as raised:
        await source({"url": f"{address}/rate?key=hunter22"}).measure(AT)
    assert "hunter22" not in str(raised.value)
    assert "/rate" in str(raised.value)


@pytest.mark.parametrize("url", ["checks.shop/rate", "ftp://checks.shop", "http://", "http://a:port", "http://a\n"])
async def test_an_address_that_is_none_says_how_to_write_one(url, source):
    with pytest.raises(ConfigurationError, match="https://host:port"):
        await source({"url": url}).measure(AT)


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel"])
async def test_a_secret_that_cannot_be_a_header_is_not_shown(value, double, source):
    double.says(body=1)
    settings = {"url": double.address, "headers": [{"key": "X-Key", "secretKeyRef": {"name": "s", "key": "k"}}]}
    with pytest.raises(ConfigurationError, match="one line") as raised:
        await source(settings, k=value).measure(AT)
    assert value not in str(raised.value)


async def test_an_array_of_matches_asks_for_one(double, source):
    double.says(body={"a": [1, 2]})
    with pytest.raises(ConfigurationError, match=r"leads to 2 values .* \[0\]"):
        await source({"url": double.address, "jsonPath": "$.a[*]"}).measure(AT)


async def test_a_rotated_secret_is_used_at_once(double, context):
    double.says(body=1)
    secrets = {"s": {"k": "old-key"}}
    settings = {"url": double.address, "headers": [{"key": "X-Key", "secretKeyRef": {"name": "s", "key": "k"}}]}
    source = open_settings(Web.model_validate(settings), context(secrets))
    await source.measure(AT)
    secrets["s"]["k"] = "new-key"
    await source.measure(AT)
    await source.close()
    assert [seen["headers"]["X-Key"] for seen in double.seen] == ["old-key", "new-key"]


# TLS


def _certificate(name, issuer=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer_name, signer = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(signer, hashes.SHA256()), key


def _pem(certificate, key):
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text, private.decode()


@pytest.fixture
def pki():
    """An authority, a server's and a client's certificate: certificate and key as PEM."""
    authority = _certificate("authority")
    return {
        "ca": _pem(*authority),
        "server": _pem(*_certificate("server", authority)),
        "client": _pem(*_certificate("client", authority)),
    }


@pytest.fixture
async def secure(pki, double, tmp_path):
    """The double behind TLS; ``secure(mtls=True)`` wants a client's certificate. Returns its address."""
    servers = []

    async def start(*, mtls=False):
        pair = tmp_path / "server.pem"
        pair.write_text("".join(pki["server"]))
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pki["ca"][0] if mtls else None)
        server_side.load_cert_chain(pair)
        server_side.verify_mode = ssl.CERT_REQUIRED if mtls else ssl.CERT_NONE
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", double.handle)
        server = TestServer(app, host="127.0.0.1", scheme="https")
        await server.start_server(ssl=server_side)
        servers.append(server)
        return str(server.make_url("/rate"))

    yield start
    for server in servers:
        await server.close()


def _ref(key):
    return {"name": "s", "key": key}


async def test_a_server_that_is_not_trusted_says_where_to_write_its_authority(double, secure, source):
    double.says(body=0.25)
    with pytest.raises(ConfigurationError, match=r"not trusted .* tls\.ca"):
        await source({"url": await secure()}).measure(AT)
    assert not double.seen


async def test_an_authority_of_ones_own_is_trusted(double, secure, source, pki):
    double.says(body=0.25)
    trusting = source({"url": await secure(), "tls": {"ca": _ref("ca")}}, ca=pki["ca"][0])
    assert await trusting.measure(AT) == 0.25


async def test_verification_can_be_left_out(double, secure, source):
    double.says(body=0.25)
    assert await source({"url": await secure(), "tls": {"insecureSkipVerify": True}}).measure(AT) == 0.25


async def test_a_client_shows_its_certificate(double, secure, source, pki):
    double.says(body=0.25)
    url = await secure(mtls=True)
    ca, (certificate, key) = pki["ca"][0], pki["client"]
    tls = {"ca": _ref("ca"), "certificate": _ref("cert"), "privateKey": _ref("key")}
    assert await source({"url": url, "tls": tls}, ca=ca, cert=certificate, key=key).measure(AT) == 0.25
    with pytest.raises(UnavailableError):  # in TLS 1.3 the server just hangs up
        await source({"url": url, "tls": {"ca": _ref("ca")}}, ca=ca).measure(AT)


async def test_https_where_http_is_spoken_is_named(double, source):
    double.says(body=0.25)
    with pytest.raises(ConfigurationError, match=r"http or https\?"):
        await source({"url": double.address.replace("http://", "https://")}).measure(AT)


async def test_a_rotated_certificate_is_used_while_others_still_measure(double, secure, pki, context):
    double.says(body=0.25)
    secrets = {"s": {"ca": pki["ca"][0]}}
    settings = {"url": await secure(), "tls": {"ca": _ref("ca")}}
    source = open_settings(Web.model_validate(settings), context(secrets))
    assert await asyncio.gather(*(source.measure(AT) for _ in range(5))) == [0.25] * 5
    other = asyncio.gather(*(source.measure(AT) for _ in range(5)))
    secrets["s"]["ca"] += pki["ca"][0]
    assert await source.measure(AT) == 0.25
    assert await other == [0.25] * 5
    secrets["s"]["ca"] = _pem(*_certificate("another authority"))[0]
    with pytest.raises(ConfigurationError, match="not trusted"):
        await source.measure(AT)
    await source.close()


async def test_a_certificate_with_another_key_is_named(double, secure, source, pki):
    double.says(body=0.25)
    tls = {"ca": _ref("ca"), "certificate": _ref("cert"), "privateKey": _ref("key")}
    wrong = {"ca": pki["ca"][0], "cert": pki["client"][0], "key": pki["server"][1]}
    with pytest.raises(ConfigurationError, match="are no pair"):
        await source({"url": await secure(), "tls": tls}, **wrong).measure(AT)


async def test_an_authority_that_is_no_certificate_is_named(secure, source):
    with pytest.raises(ConfigurationError, match=r"tls\.ca does not hold certificates"):
        await source({"url": await secure(), "tls": {"ca": _ref("ca")}}, ca="not PEM").measure(AT)
