"""A real node: containerd, runc, CNI, kubelet, kube-proxy and the scheduler beside the local control plane.

Everything, this test process included, is in a network namespace of its own, so that the control plane's loopback is the
node's, and nothing of the machine's network is touched. Pods are connected by routes (CNI plugin ptp): a bridge would
need br_netfilter for ClusterIPs.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.local.cluster import LocalCluster

__all__ = ["NODE_ADDRESS", "RealNode", "missing", "own_network"]

NODE_ADDRESS: Final = "10.77.0.1"
NODE_NAME: Final = "node-1"
PAUSE: Final = "coalmine.test/pause:1"
CNI_FOLDER: Final = Path("/usr/lib/cni")
_NEW_NETWORK: Final = 0x40000000
_PATIENCE: Final = 90.0


def missing() -> str:
    """Return why no node can run here; empty where one can."""
    if os.geteuid() != 0:
        return "it needs root"
    lacking = [name for name in ("runc", "iptables", "ip", "busybox", "xtables-nft-multi") if not shutil.which(name)]
    if not CNI_FOLDER.is_dir():
        lacking.append("CNI plugins (Debian: containernetworking-plugins)")
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    # Root in a container may not do it.
    allowed = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"no network namespace can be made: {allowed.stderr.strip()}" if allowed.returncode else ""


@contextmanager
def own_network() -> Iterator[None]:
    """Put this process, and what it starts, into a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as before:
        if libc.unshare(_NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        try:
            for command in (
                "link set lo up",
                "link add node0 type veth peer name node1",
                f"addr add {NODE_ADDRESS}/24 dev node0",
                "link set node0 up",
                "link set node1 up",
                f"route add default via {NODE_ADDRESS.rpartition('.')[0]}.254 dev node0",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            yield
        finally:
            libc.setns(before.fileno(), _NEW_NETWORK)


@dataclass
class RealNode:
    """The node's processes.

    Attributes:
        cluster: The control plane: etcd and the apiserver run.
        programs: Folder of the node's programs.
        state: Its folder; a short path, since sockets are in it.
    """

    cluster: LocalCluster
    programs: Path
    state: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.state / "containerd.sock"

    def start(self, controller_manager: tuple[str, ...], images: list[Path]) -> None:
        """Start everything, and wait until the node is ready.

        Args:
            controller_manager: Its command.
            images: OCI archives to import.
        """
        self._configure()
        kubeconfig = str(self.cluster.kubeconfig)
        self.run("controller-manager", *controller_manager)
        self.run("scheduler", str(self.programs / "kube-scheduler"), "--kubeconfig", kubeconfig, "--leader-elect=false")
        self.run("containerd", str(self.programs / "containerd"), "--config", str(self.state / "containerd.toml"))
        self.until(lambda: self.ctr("version", check=False).returncode == 0, "containerd answers", "containerd")
        for archive in images:
            self.ctr("images", "import", "--local", str(archive))
        self.run(
            "kubelet",
            str(self.programs / "kubelet"),
            *("--config", str(self.state / "kubelet.yaml")),
            *("--kubeconfig", kubeconfig),
            *("--root-dir", str(self.state / "kubelet")),
            *("--node-ip", NODE_ADDRESS),
            *("--hostname-override", NODE_NAME),
        )
        self.run(
            "kube-proxy",
            str(self.programs / "kube-proxy"),
            *("--kubeconfig", kubeconfig),
            *("--hostname-override", NODE_NAME),
            *("--proxy-mode", "iptables"),
            *("--conntrack-max-per-core", "0"),
            *("--conntrack-tcp-timeout-established", "0"),
            *("--conntrack-tcp-timeout-close-wait", "0"),
        )
        self.until(self._ready, "the node is ready", "kubelet")

    def stop(self) -> None:
        """End everything that was started, the containers last."""
        for name in reversed([n for n in self._running if n != "containerd"]):
            self._end(name)
        if "containerd" in self._running:
            for task in self.ctr("tasks", "ls", "-q", check=False).stdout.split():
                self.ctr("tasks", "rm", "--force", task, check=False)
            self._end("containerd")
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in sorted((p for p in mounted if p.startswith(f"{self.state}/")), reverse=True):
            subprocess.run(["umount", "--lazy", path], check=False)
        for shim in self._shims():
            with suppress(ProcessLookupError):
                os.kill(shim, signal.SIGKILL)
        shutil.rmtree(self.state, ignore_errors=True)

    def run(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        """Start a process of the node."""
        path = f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin"
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PATH": path, **(env or {})}, start_new_session=True
            )

    def log(self, name: str) -> Path:
        """Return a process's log."""
        return self.state / f"{name}.log"

    def ctr(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run containerd's command."""
        command = [str(self.programs / "ctr"), "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)

    def until(self, condition: Callable[[], Any], what: str, name: str) -> Any:
        """Wait for a condition; when it does not come, show the end of a process's log."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._running[name].poll() is None:
            if answer := condition():
                return answer
            time.sleep(0.2)
        last = "\n".join(self.log(name).read_text(errors="replace").splitlines()[-25:])
        raise AssertionError(f"not within {_PATIENCE:g} s: {what}\n{last}")

    def _ready(self) -> bool:
        path = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        return "True" in self.cluster.kubectl()("get", "nodes", "-o", path)

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _shims(self) -> list[int]:
        """Return the shims that are left: they are nobody's children, and known by their socket's address."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                line = (entry / "cmdline").read_bytes()
                if b"containerd-shim-runc-v2" in line and str(self.socket).encode() in line:
                    found.append(int(entry.name))
        return found

    def _configure(self) -> None:
        (self.state / "containerd.toml").write_text(_CONTAINERD.format(state=self.state, cni=CNI_FOLDER, pause=PAUSE))
        cni = self.state / "cni"
        cni.mkdir()
        address = {"type": "host-local", "subnet": "10.244.0.0/24", "dataDir": str(self.state / "addresses")}
        address["routes"] = [{"dst": "0.0.0.0/0"}]  # type: ignore[assignment]
        plugins = [
            {"type": "ptp", "ipMasq": False, "ipam": address},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        (cni / "10-pods.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}))
        certificate, key = self._serving_certificate()
        pki = self.cluster.layout.pki
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "resolvConf": "/dev/null",
            "evictionHard": dict.fromkeys(
                (
                    "memory.available",
                    "nodefs.available",
                    "nodefs.inodesFree",
                    "imagefs.available",
                    "imagefs.inodesFree",
                ),
                "0%",
            ),
            "imageGCHighThresholdPercent": 100,
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "syncFrequency": "5s",
            "volumePluginDir": str(self.state / "volume-plugins"),
            "podLogsDir": str(self.state / "pods"),
        }
        (self.state / "kubelet.yaml").write_text(yaml.safe_dump(config))

    def _serving_certificate(self) -> tuple[Path, Path]:
        """Issue the kubelet's certificate: `kubectl exec` reaches it by the node's address."""
        pki = self.cluster.layout.pki
        authority = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
        signer = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(NODE_ADDRESS))])
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{NODE_NAME}")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(names, critical=False)
            .sign(signer, hashes.SHA256())
        )
        paths = (self.state / "kubelet.crt", self.state / "kubelet.key")
        paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths


# Lowering oom_score_adj is denied in many sandboxes, without which runc fails.
_CONTAINERD: Final = """\
version = 3
root = "{state}/root"
state = "{state}/run"
[grpc]
address = "{state}/containerd.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{cni}"]
conf_dir = "{state}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


if __name__ == "__main__":  # `.ci/run` asks whether the end-to-end tests can run
    sys.exit(missing() or 0)
