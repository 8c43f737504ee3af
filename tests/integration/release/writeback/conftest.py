"""A git server as people run it: git's own http-backend behind TLS and a password, on a real socket."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import ipaddress
import os
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "robot", "s3cret word"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "git")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return folder / "tls.crt", folder / "tls.key"


class Backend(http.server.BaseHTTPRequestHandler):
    """Hands a request on to ``git http-backend`` (CGI, RFC 3875)."""

    root: Path

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": USER,
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class Repository:
    """A bare repository behind the server, and a clone in which people work."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.clone = folder / "git" / "shop.git", folder / "clone"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        for name in ("http.receivepack", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            subprocess.run(["git", "-C", str(self.bare), "config", name, "true"], check=True)
        subprocess.run(["git", "clone", "-q", str(self.bare), str(self.clone)], check=True, capture_output=True)
        crt, key = certificate(folder)
        self.authority = crt.read_text()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        handler = type("Handler", (Backend,), {"root": self.bare.parent})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/shop.git"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def secret(self) -> dict[str, str]:
        return {"username": USER, "password": PASSWORD, "ca.crt": self.authority}

    def git(self, *args: str, at: float | None = None) -> str:
        """Run git in people's clone, as somebody and at some time."""
        who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "Ada"), ("EMAIL", "ada@x.org"))}
        when = {} if at is None else {"GIT_COMMITTER_DATE": f"@{int(at)} +0000", "GIT_AUTHOR_DATE": f"@{int(at)} +0000"}
        env = {**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(["git", *args], cwd=self.clone, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, subject: str, at: float | None = None, **files: str) -> str:
        """Commit files (``payment_yaml="…"`` is apps/payment.yaml) to main and push; return the commit."""
        for name, text in files.items():
            path = self.clone / "apps" / name.replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject, at=at)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def branches(self) -> list[str]:
        listed = self.git("ls-remote", "--heads", str(self.bare))
        return [line.split("refs/heads/")[1] for line in listed.splitlines()]

    def stored(self, *args: str) -> str:
        """Run git on what the server has."""
        command = ["git", "-C", str(self.bare), *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def show(self, branch: str, what: str = "%an <%ae>%n%B") -> str:
        """Return the newest commit of a branch."""
        return self.stored("log", "-1", f"--format={what}", branch).strip()

    def file(self, branch: str, path: str) -> str:
        return self.stored("show", f"{branch}:{path}")

    def files(self, branch: str) -> list[str]:
        return self.stored("ls-tree", "-r", "--name-only", branch).split()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    found = Repository(tmp_path)
    yield found
    found.close()
