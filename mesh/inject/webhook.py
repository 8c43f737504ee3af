"""The injector as a mutating admission webhook."""

from __future__ import annotations

import base64
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from mesh.inject.choice import wanted_where
from mesh.inject.pods import Injection, RefusedError, inject

if TYPE_CHECKING:
    from mesh.inject.pods import InjectConfig

__all__ = ["PATH", "WEBHOOK_NAME", "make_app", "review", "webhook_configuration"]

PATH: Final = "/inject"
WEBHOOK_NAME: Final = "coalmine-inject"
_TIMEOUT_SECONDS: Final = 5
_MAX_BYTES: Final = 8 * 1024 * 1024
"""Twice what an API server lets a request have."""

_log = logging.getLogger(__name__)


def make_app(config: InjectConfig) -> web.Application:
    """Return the application that answers the API server's ``AdmissionReview`` at ``POST /inject``."""
    app = web.Application(client_max_size=_MAX_BYTES)

    async def handle(request: web.Request) -> web.Response:
        try:
            answer = review(await request.json(), config)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            _log.warning("refused what is no AdmissionReview of a pod: %r", error)
            text = f"this is no admission.k8s.io/v1 AdmissionReview of a Pod: {error!r}\n"
            raise web.HTTPBadRequest(text=text) from error
        return web.json_response(answer)

    app.router.add_post(PATH, handle)
    return app


def review(asked: dict[str, Any], config: InjectConfig) -> dict[str, Any]:
    """Return the ``AdmissionReview`` that answers another one.

    Raises:
        KeyError: It holds no request, or the request no pod.
    """
    request = asked["request"]
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    try:
        injection = inject(request["object"], config) if _is_new_pod(request) else Injection()
    except RefusedError as error:
        response["allowed"] = False
        response["status"] = {"code": HTTPStatus.UNPROCESSABLE_ENTITY, "reason": "Invalid", "message": str(error)}
    else:
        if injection.patch:
            patch = json.dumps(injection.patch).encode()
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
        if injection.warnings:
            response["warnings"] = list(injection.warnings)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def _is_new_pod(request: dict[str, Any]) -> bool:
    kind = request["kind"]
    return (kind["group"], kind["kind"], request["operation"]) == ("", "Pod", "CREATE")


def webhook_configuration(url: str, ca_bundle: bytes | str, *, istio_labels: bool = True) -> dict[str, Any]:
    """Return the MutatingWebhookConfiguration that makes the API server ask the injector.

    It is asked for pods that want a sidecar and no others, so that nobody else depends on it; those that do are not
    created without one (failurePolicy Fail). A pod's own label wins over its namespace's.

    Args:
        url: The injector's address, ``https://host:port``.
        ca_bundle: The certificates, in PEM, that its certificate is checked with.
        istio_labels: Whether ``istio-injection`` and ``sidecar.istio.io/inject`` mean us: where Istio's own injector is,
            they mean Istio.
    """
    pem = ca_bundle.encode() if isinstance(ca_bundle, str) else ca_bundle
    client = {"url": url.removesuffix("/").removesuffix(PATH) + PATH, "caBundle": base64.b64encode(pem).decode()}
    webhooks = [
        _webhook(f"{name}.inject.coalmine.dev", client, namespaces=namespaces, pods=pods)
        for name, namespaces, pods in wanted_where(istio_labels=istio_labels)
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK_NAME, "labels": {"app.kubernetes.io/part-of": "coalmine"}},
        "webhooks": webhooks,
    }


def _webhook(
    name: str, client: dict[str, str], *, namespaces: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> dict[str, Any]:
    # kube-system is never ours: a cluster that is starting up must not wait for the mesh.
    system = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}
    return {
        "name": name,
        "clientConfig": client,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {"matchExpressions": [system, *namespaces]},
        "objectSelector": {"matchExpressions": pods},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "timeoutSeconds": _TIMEOUT_SECONDS,
    }
