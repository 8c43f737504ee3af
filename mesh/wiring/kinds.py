"""The kinds of objects that the mesh reads and writes."""

from __future__ import annotations

from typing import Final

from mesh.api.httproute import GATEWAY_API_GROUP, GATEWAY_API_VERSIONS
from mesh.api.istio import ISTIO_GROUP, ISTIO_VERSIONS
from mesh.api.istiotelemetry import TELEMETRY_GROUP, TELEMETRY_VERSIONS
from mesh.api.names import MESH_GROUP, MESH_VERSION
from mesh.api.security import SECURITY_GROUP, SECURITY_VERSIONS
from mesh.wiring.kube import Kind

__all__ = [
    "AUTHORIZATION_POLICIES",
    "CONFIG_MAPS",
    "CRON_JOBS",
    "DESTINATION_RULES",
    "ENDPOINT_SLICES",
    "EVENTS",
    "GATEWAYS",
    "GATEWAY_CLASSES",
    "GRPC_ROUTES",
    "HTTP_ROUTES",
    "NAMESPACES",
    "PEER_AUTHENTICATIONS",
    "PODS",
    "REFERENCE_GRANTS",
    "REQUEST_AUTHENTICATIONS",
    "SECRETS",
    "SERVICES",
    "SERVICE_ENTRIES",
    "SIDECARS",
    "STANDARD_GATEWAYS",
    "SUBJECT_ACCESS_REVIEWS",
    "TELEMETRIES",
    "TOKEN_REVIEWS",
    "TRAFFIC_SPLITS",
    "VIRTUAL_SERVICES",
    "WEBHOOKS",
]

SERVICES: Final = Kind("", "v1", "Service", "services")
PODS: Final = Kind("", "v1", "Pod", "pods")
CONFIG_MAPS: Final = Kind("", "v1", "ConfigMap", "configmaps")
CRON_JOBS: Final = Kind("batch", "v1", "CronJob", "cronjobs")
SECRETS: Final = Kind("", "v1", "Secret", "secrets")
NAMESPACES: Final = Kind("", "v1", "Namespace", "namespaces")
TOKEN_REVIEWS: Final = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews")
SUBJECT_ACCESS_REVIEWS: Final = Kind("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews")
EVENTS: Final = Kind("", "v1", "Event", "events")
ENDPOINT_SLICES: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
WEBHOOKS: Final = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"
)
TRAFFIC_SPLITS: Final = Kind(MESH_GROUP, MESH_VERSION, "TrafficSplit", "trafficsplits")
VIRTUAL_SERVICES: Final = tuple(Kind(ISTIO_GROUP, v, "VirtualService", "virtualservices") for v in ISTIO_VERSIONS)
DESTINATION_RULES: Final = tuple(Kind(ISTIO_GROUP, v, "DestinationRule", "destinationrules") for v in ISTIO_VERSIONS)
SERVICE_ENTRIES: Final = tuple(Kind(ISTIO_GROUP, v, "ServiceEntry", "serviceentries") for v in ISTIO_VERSIONS)
SIDECARS: Final = tuple(Kind(ISTIO_GROUP, v, "Sidecar", "sidecars") for v in ISTIO_VERSIONS)
HTTP_ROUTES: Final = tuple(Kind(GATEWAY_API_GROUP, v, "HTTPRoute", "httproutes") for v in GATEWAY_API_VERSIONS)
GRPC_ROUTES: Final = (Kind(GATEWAY_API_GROUP, "v1", "GRPCRoute", "grpcroutes"),)
STANDARD_GATEWAYS: Final = tuple(Kind(GATEWAY_API_GROUP, v, "Gateway", "gateways") for v in GATEWAY_API_VERSIONS)
GATEWAY_CLASSES: Final = tuple(
    Kind(GATEWAY_API_GROUP, v, "GatewayClass", "gatewayclasses") for v in GATEWAY_API_VERSIONS
)
REFERENCE_GRANTS: Final = tuple(
    Kind(GATEWAY_API_GROUP, v, "ReferenceGrant", "referencegrants") for v in GATEWAY_API_VERSIONS
)
GATEWAYS: Final = tuple(Kind(ISTIO_GROUP, v, "Gateway", "gateways") for v in ISTIO_VERSIONS)
PEER_AUTHENTICATIONS: Final = tuple(
    Kind(SECURITY_GROUP, v, "PeerAuthentication", "peerauthentications") for v in SECURITY_VERSIONS
)
AUTHORIZATION_POLICIES: Final = tuple(
    Kind(SECURITY_GROUP, v, "AuthorizationPolicy", "authorizationpolicies") for v in SECURITY_VERSIONS
)
TELEMETRIES: Final = tuple(Kind(TELEMETRY_GROUP, v, "Telemetry", "telemetries") for v in TELEMETRY_VERSIONS)
REQUEST_AUTHENTICATIONS: Final = tuple(
    Kind(SECURITY_GROUP, v, "RequestAuthentication", "requestauthentications") for v in SECURITY_VERSIONS
)
