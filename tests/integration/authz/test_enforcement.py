"""Policies and tokens between real pods with sidecars: what is applied holds, also on connections that are open."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pytest
import yaml
from aiohttp import web

from coalmine.local.layout import MESH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples" / "mesh" / "allow-list.yaml"
DENIED = "RBAC: access denied"
INBOUND, OUTBOUND = 15006, 15001
AnswerT = TypeVar("AnswerT")


def workload(name: str, port: str = "http") -> list[dict[str, Any]]:
    env = [
        {"name": "VERSION", "value": "v1"},
        {"name": "LATENCY_MS", "value": "1"},
        {"name": "ERROR_RATE", "value": "0"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    container = {
        "name": "app",
        "image": "none",
        "command": [sys.executable, "-m", "coalmine.demo.shop", "payment"],
        "env": env,
        "ports": [{"name": port, "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 1},
    }
    spec = {"serviceAccountName": name, "containers": [container]}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": port, "port": 80, "targetPort": port}]},
        },
    ]


async def until(ask: Callable[[], Awaitable[AnswerT]], right: Callable[[AnswerT], bool]) -> AnswerT:
    """Ask again and again until the answer is right; return it."""
    async with asyncio.timeout(120):
        while True:
            if right(answer := await ask()):
                return answer
            await asyncio.sleep(0.001)


class Bank:
    """A namespace with frontend, backend, payment and a ledger that speaks something else than HTTP."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl, self.namespace = kubectl, namespace
        self._addresses: dict[str, str] = {}

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def policy(self, name: str, app: str = "payment", **spec: Any) -> None:
        spec = {"selector": {"matchLabels": {"app": app}}, **spec}
        self.secure("AuthorizationPolicy", name, spec)

    def secure(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        self.apply({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})

    def address(self, app: str) -> str:
        if app not in self._addresses:
            path = "jsonpath={.items[0].status.podIP}"
            self._addresses[app] = self.kubectl("get", "pods", "-n", self.namespace, "-l", f"app={app}", "-o", path)
        return self._addresses[app]

    async def ask(
        self, caller: str, host: str = "payment", path: str = "/charge", method: str = "GET", token: str = ""
    ) -> tuple[int, str]:
        """Return status and body of a request that a workload sends through its sidecar."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        proxy = f"http://{self.address(caller)}:{OUTBOUND}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://{host}{path}", proxy=proxy, headers=headers) as response,
        ):
            return response.status, (await response.text()).strip()

    async def settles(self, expected: int, caller: str = "frontend", **request: Any) -> None:
        """Wait until such a request has this outcome."""
        found = await until(lambda: self.ask(caller, **request), lambda answer: answer[0] == expected)
        assert expected != 403 or found[1] == DENIED

    def clear(self) -> None:
        for kind in ("authorizationpolicies", "requestauthentications"):
            self.kubectl("delete", kind, "--all", "-n", self.namespace)


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def whole_bank(cluster: LocalCluster, kubectl: Kubectl) -> Iterator[Bank]:
    cluster.start(MESH)
    namespace = f"bank-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=120s")
    bank = Bank(kubectl, namespace)
    for name in ("frontend", "backend", "payment"):
        bank.apply(*workload(name))
    bank.apply(*workload("ledger", "tcp-ledger"))
    kubectl("wait", "deployment", "--all", "--for=condition=Available", "-n", namespace, "--timeout=300s")
    yield bank
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
async def bank(whole_bank: Bank) -> Any:
    yield whole_bank
    await asyncio.to_thread(whole_bank.clear)
    for host in ("payment", "backend"):
        await whole_bank.settles(200, caller="backend", host=host)


async def test_the_allow_list_lets_frontend_call_payment_and_nothing_else(bank):
    assert (await bank.ask("backend"))[0] == 200, "without a policy everything passes"
    bank.kubectl("apply", "-n", bank.namespace, "-f", str(EXAMPLE))
    await bank.settles(403, caller="backend")
    await bank.settles(403, host="backend")
    await bank.settles(200)
    assert (await bank.ask("frontend", method="POST"))[1] != DENIED
    assert (await bank.ask("frontend", path="/charges/7"))[1] != DENIED
    assert await bank.ask("frontend", path="/charges/7/refund") == (403, DENIED)
    assert await bank.ask("frontend", method="DELETE") == (403, DENIED)
    assert await bank.ask("frontend", path="/healthz") == (403, DENIED)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{bank.address('payment')}:{INBOUND}/charge") as plaintext,
    ):
        assert plaintext.status == 403, "a caller without a certificate is nobody"


async def test_a_denied_path_is_denied_whatever_allows_it_and_however_it_is_written(bank):
    bank.policy("all", rules=[{}])
    bank.policy("no-admin", action="DENY", rules=[{"to": [{"operation": {"paths": ["/admin*"]}}]}])
    await bank.settles(403, path="/admin/users")
    assert (await bank.ask("frontend"))[0] == 200
    reader, writer = await asyncio.open_connection(bank.address("payment"), INBOUND)
    for path in ("/x/../admin/users", "/%61dmin", "/admin?x=1", "/./admin"):
        assert (await raw(reader, writer, path))[0] == 403, path
    writer.close()


async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[int, bytes]:
    """Send a request on an open connection, as it is written."""
    writer.write(f"GET {path} HTTP/1.1\r\nhost: payment\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")), 0)
    return int(head.split()[1]), await reader.readexactly(length)


async def test_a_policy_holds_for_the_next_request_of_an_open_connection(bank):
    reader, writer = await asyncio.open_connection(bank.address("payment"), INBOUND)
    assert (await raw(reader, writer, "/charge"))[0] == 200
    for round_ in range(3):
        bank.policy("only-frontend", rules=[{"from": [{"source": {"namespaces": [bank.namespace]}}]}])
        started = time.monotonic()
        await until(lambda: raw(reader, writer, "/charge"), lambda answer: answer[0] == 403)
        print(f"round {round_}: denied {1000 * (time.monotonic() - started):.0f} ms after kubectl apply")  # noqa: T201
        assert (await bank.ask("frontend"))[0] == 200
        bank.kubectl("delete", "authorizationpolicy", "only-frontend", "-n", bank.namespace)
        await until(lambda: raw(reader, writer, "/charge"), lambda answer: answer[0] == 200)
    assert not reader.at_eof()
    writer.close()


async def test_tokens_are_checked_and_asked_for(bank, make_issuer):
    issuer, stranger = make_issuer("https://issuer.example.com"), make_issuer("https://stranger.example.com")
    rule = {"issuer": issuer.name, "audiences": ["payment"], "jwks": issuer.jwks}
    selector = {"matchLabels": {"app": "payment"}}
    bank.secure("RequestAuthentication", "tokens", {"selector": selector, "jwtRules": [rule]})
    await bank.settles(401, token="no token at all")
    assert (await bank.ask("frontend"))[0] == 200, "nobody asks for a token yet"
    bank.policy("users", rules=[{"from": [{"source": {"requestPrincipals": [f"{issuer.name}/*"]}}]}])
    await bank.settles(403)
    tokens = {
        "valid": issuer.token(sub="alice", aud="payment"),
        "expired": issuer.token(sub="alice", aud="payment", exp=int(time.time()) - 3600),
        "for another": issuer.token(sub="alice", aud="ledger"),
        "wrong issuer": stranger.token(sub="alice", aud="payment"),
        "forged": stranger.token(sub="alice", aud="payment", iss=issuer.name),
        "missing": "",
    }
    found = {name: (await bank.ask("frontend", token=token))[0] for name, token in tokens.items()}
    wanted = {"valid": 200, "expired": 401, "for another": 403, "wrong issuer": 401, "forged": 401, "missing": 403}
    assert found == wanted
    admins = [{"key": "request.auth.claims[groups]", "values": ["admin"]}]
    bank.policy("users", rules=[{"when": admins}])
    await bank.settles(403, token=tokens["valid"])
    assert (await bank.ask("frontend", token=issuer.token(sub="a", aud="payment", groups=["x", "admin"])))[0] == 200


async def test_keys_are_fetched_and_what_cannot_be_fetched_is_told(bank, make_issuer, free_port):
    issuer = make_issuer("https://issuer.example.com")
    app, port = web.Application(), free_port()

    async def keys(_: web.Request) -> web.Response:
        return web.Response(text=issuer.jwks)

    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        rule = {"issuer": issuer.name, "jwksUri": f"http://127.0.0.1:{port}/keys"}
        bank.secure("RequestAuthentication", "fetched", {"jwtRules": [rule]})
        await bank.settles(401, token="no token at all")
        assert (await bank.ask("frontend", token=issuer.token(sub="alice")))[0] == 200
    finally:
        await runner.cleanup()
    rule = {"issuer": issuer.name, "jwksUri": f"http://127.0.0.1:{port}/nowhere"}
    bank.secure("RequestAuthentication", "fetched", {"jwtRules": [rule]})
    await bank.settles(401, token=issuer.token(sub="alice"))
    where = ("-n", bank.namespace)
    wait = ("--for=create", "--field-selector=reason=KeysNotFetched", "--timeout=120s")
    await asyncio.to_thread(bank.kubectl, "wait", "event", *where, *wait)


async def test_an_audit_only_writes_a_line(bank):
    bank.policy("watch", action="AUDIT", rules=[{"to": [{"operation": {"paths": ["/charge"], "methods": ["GET"]}}]}])
    where = ("-n", bank.namespace, "deployment/payment", "-c", "coalmine-proxy")
    async with asyncio.timeout(120):
        while True:
            assert (await bank.ask("frontend", path="/charge?card=secret"))[0] == 200
            text = await asyncio.to_thread(bank.kubectl, "logs", *where)
            lines = [json.loads(line) for line in text.splitlines() if '"log":"audit"' in line]
            if lines:
                break
    line = lines[0]
    assert line["rule"] == f"ns[{bank.namespace}]-policy[watch]-rule[0]"
    assert line["principal"] == f"spiffe://cluster.local/ns/{bank.namespace}/sa/frontend"
    assert (line["method"], line["path"], str(line["status"])) == ("GET", "/charge", "200")


async def test_a_port_that_is_not_http_knows_identities_and_addresses_only(bank):
    async def reached() -> bool:
        reader, writer = await asyncio.open_connection(bank.address("ledger"), INBOUND)
        try:
            return (await raw(reader, writer, "/healthz"))[0] == 200
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            writer.close()

    async def becomes(expected: bool) -> None:
        await until(reached, lambda found: found is expected)

    reader, writer = await asyncio.open_connection(bank.address("ledger"), INBOUND)
    assert (await raw(reader, writer, "/healthz"))[0] == 200
    bank.policy("ledger", "ledger", rules=[{"from": [{"source": {"serviceAccounts": ["payment"]}}]}])
    await becomes(False)
    async with asyncio.timeout(120):
        assert await reader.read() == b"", "open connections are cut"
    writer.close()
    bank.policy("ledger", "ledger", rules=[{"from": [{"source": {"ipBlocks": ["127.0.0.0/8"]}}]}])
    await becomes(True)
    bank.policy("ledger", "ledger", rules=[{"to": [{"operation": {"methods": ["GET"]}}]}])
    await becomes(False)
    bank.policy(
        "ledger", "ledger", action="DENY", rules=[{"to": [{"operation": {"ports": ["9090"], "methods": ["GET"]}}]}]
    )
    await becomes(True)
    bank.policy("ledger", "ledger", action="DENY", rules=[{"to": [{"operation": {"methods": ["GET"]}}]}])
    await becomes(False)


async def test_what_is_not_implemented_is_told_and_lets_nothing_through(bank):
    rule = {"when": [{"key": "experimental.envoy.filters.http.x[y]", "values": ["z"]}]}
    bank.policy("odd", rules=[rule])
    await bank.settles(403)
    wait = ("wait", "event", "-n", bank.namespace, "--for=create", "--field-selector=reason=NotImplemented")
    await asyncio.to_thread(bank.kubectl, *wait, "--timeout=120s")
