"""What the control plane's process is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.inject.pods import INIT_IMAGE, IPTABLES_RESTORE, PROXY_IMAGE
from mesh.ir.tracing import B3, TracingSettings

if TYPE_CHECKING:
    from pathlib import Path

    from mesh.ir.views import Capture

__all__ = ["ServeConfig"]


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """What the process is told.

    Attributes:
        kubeconfig: Path of a kubeconfig; None inside a cluster.
        xds_address: ``host:port`` of discovery and OTLP.
        http_address: ``host:port`` of telemetry and readiness.
        webhook_address: ``host:port`` of the injection webhook, over HTTPS.
        xds_advertise: ``host:port`` under which pods reach discovery.
        webhook_url: URL under which the API server reaches the webhook.
        tls_cert: Certificate of the webhook.
        tls_key: Its key.
        ca_file: The certificates that the API server checks it with.
        endpoints: ``pods`` or ``endpointslices``.
        capture: How an app's requests reach its sidecar.
        envoy: The sidecar's command.
        proxy_image: The sidecar's image.
        init_image: Image of the init container that redirects packets.
        iptables_restore: Its ``iptables-restore`` command.
        namespace: The control plane's namespace, where its Secret is.
        certificate_seconds: How long a workload's certificate lives.
        root_hold_seconds: How long each step of a root's exchange lasts at least.
        mount_root: What precedes the paths of mounted files in pods.
        ca_secret: Name of a Secret with an issuing certificate; empty for ``cacerts``, where that is there.
        pod_name: Name of the control plane's own pod; empty where it is in none.
        access_log_percent: How many requests and connections each sidecar logs.
        tracing_otlp: ``host:port`` of the collector that takes spans; empty for none.
        tracing_sampling: How many requests that come without a decision are recorded, in percent.
        tracing_b3: What is done about B3 headers.
    """

    kubeconfig: str | None
    xds_address: str
    http_address: str
    webhook_address: str
    xds_advertise: str
    webhook_url: str
    tls_cert: Path
    tls_key: Path
    ca_file: Path
    endpoints: str
    capture: Capture
    envoy: str
    proxy_image: str = PROXY_IMAGE
    init_image: str = INIT_IMAGE
    iptables_restore: str = IPTABLES_RESTORE
    namespace: str = "coalmine-system"
    certificate_seconds: float = 24 * 3600
    root_hold_seconds: float = 180
    mount_root: str = ""
    ca_secret: str = ""
    access_log_percent: float = 0
    pod_name: str = ""
    tracing_otlp: str = ""
    tracing_sampling: float = 1
    tracing_b3: B3 = "accept"

    @property
    def tracing(self) -> TracingSettings:
        """What holds for the traces of the whole mesh."""
        return TracingSettings(self.tracing_otlp, self.tracing_sampling, self.tracing_b3)
