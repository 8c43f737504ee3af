"""Our injector's registration with the API server, beside Istio's where that is installed too."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from mesh.inject import webhook
from mesh.wiring.kinds import WEBHOOKS
from mesh.wiring.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.wiring.kube import Kube

__all__ = ["istio_injects", "register"]

log = logging.getLogger(__name__)
_RETRY: Final = 1.0
_ISTIOS: Final = ("istio-sidecar-injector", "istio-revision-tag")


def istio_injects(webhooks: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether Istio's own injector is registered: then Istio's labels are its, not ours."""
    return any(str(found["metadata"]["name"]).startswith(_ISTIOS) for found in webhooks)


async def register(
    kube: Kube, url: str, ca_bundle: bytes, annotations: Mapping[str, str], registered: asyncio.Event
) -> None:
    """Tell the API server of the webhook, however long that takes.

    Args:
        kube: The client.
        url: The injector's address.
        ca_bundle: The certificates that its certificate is checked with.
        annotations: For the registration.
        registered: Set when it is done.
    """
    while True:
        try:
            theirs = istio_injects((await kube.list_all(WEBHOOKS))[0])
            manifest = webhook.webhook_configuration(url, ca_bundle, istio_labels=not theirs)
            manifest["metadata"]["annotations"] = dict(annotations)
            await kube.apply(WEBHOOKS, manifest)
        except KubeError as error:
            log.warning("the injection webhook cannot be registered: %s; again in %.0f s", error, _RETRY)
            await asyncio.sleep(_RETRY)
        else:
            if theirs:
                log.info("Istio's injector is installed: istio-injection means Istio; use coalmine.dev/inject for us")
            registered.set()
            return
