"""E-mail by SMTP to a real server."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from doubles.notified import MailDouble

from rollouts.api.notifications import Mail
from rollouts.notify.base import LaterError, RefusedError, UnclearError
from rollouts.notify.mail import MailSink


@pytest.fixture
async def server(started):
    return await started(MailDouble())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.double")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def sink(session):
    def make(server, **more):
        fields = {
            "host": "127.0.0.1",
            "port": server.port,
            "tls": "none",
            "to": ("ops@shop.example", "dev@shop.example"),
        }
        settings = Mail(name="mail", sender="coalmine@shop.example", **{**fields, **more})
        return MailSink(settings, "notifications.mail.0", session, "https://coalmine.shop/{{ name }}")

    return make


async def test_messages_of_a_release_are_one_thread(server, sink, transition):
    told, memory = sink(server), {}
    for number, reason in enumerate(["ReleaseStarted", "RollbackStarted", "ReleaseStarted"], start=1):
        memory = await told.send(transition(reason, number), memory, doubtful=False)
    first, second, third = server.taken
    assert first["Subject"] == "shop/payment: Release started"
    assert (first["From"], first["To"]) == ("Coalmine <coalmine@shop.example>", "ops@shop.example, dev@shop.example")
    assert server.recipients[0] == ["ops@shop.example", "dev@shop.example"]
    assert (second["In-Reply-To"], third["In-Reply-To"]) == (first["Message-ID"], None)
    text = second.get_content()
    assert "about RollbackStarted" in text
    assert "Canary's share: 10 %, 9.8 % measured" in text
    assert "https://coalmine.shop/payment" in text


async def test_one_that_may_have_been_taken_goes_again_and_is_shown_once(server, sink, transition):
    server.next = ["lost"]
    with pytest.raises(UnclearError):
        await sink(server).send(transition(), {}, doubtful=False)
    await sink(server).send(transition(), {}, doubtful=True)
    first, second = server.taken
    assert first.as_bytes() == second.as_bytes()
    assert len(server.shown) == 1


async def test_later_and_never(server, sink, transition):
    server.next = ["451 4.7.1 greylisted, come back"]
    with pytest.raises(LaterError, match="greylisted"):
        await sink(server).send(transition(), {}, doubtful=False)
    server.next = ["554 5.7.1 spam"]
    with pytest.raises(RefusedError, match="refuses the message: 554"):
        await sink(server).send(transition(), {}, doubtful=False)
    await server.stop()
    with pytest.raises(LaterError, match="cannot be reached"):
        await sink(server).send(transition(), {}, doubtful=False)


async def test_a_mailbox_that_is_not_there_costs_the_others_nothing(server, sink, transition):
    server.refuses = {"ops@shop.example"}
    await sink(server).send(transition(), {}, doubtful=False)
    assert server.recipients == [["dev@shop.example"]]
    server.refuses.add("dev@shop.example")
    with pytest.raises(RefusedError, match=r"nobody of notifications\.mail\.0\.to"):
        await sink(server).send(transition(), {}, doubtful=False)


async def test_over_tls_a_wrong_password_is_said_without_the_password(started, sink, transition, secret, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = await started(MailDouble(tls=context, login=("coalmine", "right")))
    safe = {"tls": "starttls", "ca_file": certificate[0], "username": "coalmine"}
    told = sink(server, **safe, password_file=secret("wr0ng-secret"))
    with pytest.raises(RefusedError, match=r"correct notifications\.mail\.0\.passwordFile") as found:
        await told.send(transition(), {}, doubtful=False)
    assert "wr0ng" not in str(found.value)
    stranger = sink(server, **{**safe, "ca_file": None}, password_file=secret("right"))
    with pytest.raises(RefusedError, match=r"correct notifications\.mail\.0\.host or caFile"):
        await stranger.send(transition(), {}, doubtful=False)
    await sink(server, **safe, password_file=secret("right")).send(transition(), {}, doubtful=False)
    assert len(server.taken) == 1


async def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(server, sink, transition):
    with pytest.raises(RefusedError, match=r"correct notifications\.mail\.0\.tls or port"):
        await sink(server, tls="starttls").send(transition(), {}, doubtful=False)
    assert not server.taken
