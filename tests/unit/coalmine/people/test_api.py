"""The way to the API server, with a program in kubectl's place that speaks HTTP on the socket as its proxy does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import click
import pytest

from coalmine.people.api import ApiError, UnreachableError, connect, path_of
from coalmine.people.errors import get_rollout, list_rollouts, list_rows
from coalmine.people.target import Target

KUBECTL = """#!{python} -S
import gzip, http.server, json, os, socket, socketserver, sys

if "--context=nope" in sys.argv:
    sys.exit('error: context "nope" does not exist')
file = next(a for a in sys.argv if a.startswith("--unix-socket=")).partition("=")[2]
LIST = "/apis/coalmine.dev/v1alpha1/rollouts"

def status(code, reason, message, **details):
    return code, json.dumps({{"kind": "Status", "reason": reason, "message": message, "details": details}})

def items(*names):
    return 200, json.dumps({{"items": [{{"metadata": {{"namespace": s, "name": n}}}} for s, n in names], "metadata": {{}}}})

def answer(path, accept):
    if path == LIST and "as=Table" in accept:
        row = {{"cells": ["payment", "Healthy"], "object": {{"metadata": {{"name": "payment"}}}}}}
        return 200, json.dumps({{"columnDefinitions": [{{"name": "Name"}}, {{"name": "STATUS"}}], "rows": [row]}})
    if path == LIST:
        return items(("shop", "payment"), ("shop", "cart"), ("bank", "ledger"))
    if path.startswith("/apis/coalmine.dev/v1alpha1/namespaces/none/"):
        return 404, "404 page not found"
    if path.startswith("/apis/coalmine.dev/v1alpha1/namespaces/secret/"):
        return status(403, "Forbidden", 'rollouts.coalmine.dev is forbidden: User "ann" cannot list')
    if path.startswith("/apis/coalmine.dev/v1alpha1/namespaces/who/"):
        return status(401, "Unauthorized", "Unauthorized")
    if path.startswith("/apis/coalmine.dev/v1alpha1/namespaces/away/"):
        return 500, "dial tcp 127.0.0.1:6443: connect: connection refused"
    if "watch=1" in path:
        return 200, "".join(json.dumps({{"type": t, "object": {{"n": n}}}}) + "\\n" for n, t in enumerate(("ADDED", "BOOKMARK")))
    return status(404, "NotFound", "not found", name=path.rpartition("/")[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, text = answer(self.path, self.headers["Accept"])
        body = text.encode()
        self.send_response(code)
        if self.headers["Accept-Encoding"] == "gzip":
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass

server = Server(file, Handler)
print(os.getpid(), file=sys.stderr, flush=True)
print("Starting to serve on", file, flush=True)

server.serve_forever()
"""


@pytest.fixture(autouse=True)
def kubectl(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    yield program
    signal.signal(signal.SIGTERM, before)


def test_a_list_is_read_and_nothing_is_left_behind(tmp_path):
    with connect(Target(everywhere=True)) as api:
        (folder,) = tmp_path.glob("coalmine-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [i["metadata"]["name"] for i in list_rollouts(api, Target(everywhere=True))] == [
            "payment",
            "cart",
            "ledger",
        ]
    assert not list(tmp_path.glob("coalmine-*"))


def test_lists_for_people_ask_for_the_columns_only():
    with connect(Target(everywhere=True)) as api:
        (found,) = list_rows(api, Target(everywhere=True))
    assert found == {"metadata": {"name": "payment"}, "status": {"phase": "Healthy"}}


@pytest.mark.parametrize("ask", [list_rollouts, list_rows])
@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ("none", "this cluster has no Rollouts .* `coalmine crds install`"),
        (
            "secret",
            r'User "ann" cannot list. You need the verb list on rollouts.coalmine.dev \(kubectl auth can-i list',
        ),
        ("who", "the cluster does not know you .* log in again"),
        ("away", "does not reach the API server: dial tcp 127.0.0.1:6443"),
    ],
)
def test_a_refusal_says_what_to_do(namespace, words, ask):
    target = Target(namespace=namespace)
    with connect(target) as api, pytest.raises(click.ClickException, match=words):
        ask(api, target)


@pytest.mark.parametrize(
    ("namespace", "name", "words"),
    [
        ("shop", "paymant", "no Rollout 'paymant' in namespace shop; did you mean payment?"),
        ("shop", "ledger", "no Rollout 'ledger' in namespace shop; there is one in bank: -n bank"),
        ("shop", "zzz", "there are: cart, payment"),
        ("quiet", "zzz", r"nor any other \(coalmine get -A"),
        ("shop", "deployment/payment", "is no Rollout: write its name, or rollout/payment"),
    ],
)
def test_a_wrong_name_is_told_with_those_that_are_near(namespace, name, words):
    target = Target(namespace=namespace)
    with connect(target) as api, pytest.raises(click.ClickException, match=words):
        get_rollout(api, target, name)


def test_a_watch_gives_line_by_line_what_happens():
    with connect(Target()) as api:
        assert list(api.watch(path_of("pods", "shop"), "7")) == [("ADDED", {"n": 0}), ("BOOKMARK", {"n": 1})]


def test_what_kubectl_says_is_passed_on():
    with pytest.raises(UnreachableError, match='context "nope" does not exist'), connect(Target(context="nope")):
        pass


def test_without_kubectl_it_says_where_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnreachableError, match="kubectl, which is not on PATH: https"), connect(Target()):
        pass


def test_names_are_quoted_in_paths():
    assert path_of("rollouts", "a/b", "x?y") == "/apis/coalmine.dev/v1alpha1/namespaces/a%2Fb/rollouts/x%3Fy"
    assert path_of("pods", None) == "/api/v1/pods"


def test_an_error_keeps_its_status_and_reason():
    with connect(Target()) as api, pytest.raises(ApiError) as caught:
        api.get(path_of("rollouts", "shop", "x"))
    assert (caught.value.status, caught.value.reason, caught.value.name) == (404, "NotFound", "x")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_kubectl_ends_with_a_command_that_is_killed(tmp_path):
    code = (
        "import sys; from coalmine.people.api import connect; from coalmine.people.target import Target\n"
        "with connect(Target()): print('connected', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "connected\n"
        (folder,) = tmp_path.glob("coalmine-*")
        (line, *_) = (folder / "log").read_text().splitlines()
        watched = os.pidfd_open(int(line))
        command.kill()
    try:
        assert select.select([watched], [], [], 60)[0], "kubectl still runs"
    finally:
        os.close(watched)
