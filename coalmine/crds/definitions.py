"""CustomResourceDefinitions: which resources there are, and how kubectl shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from analysis.api.template import AnalysisTemplateSpec
from coalmine.crds.schema import Schema, structural
from mesh.api.authorizationpolicy import AuthorizationPolicySpec
from mesh.api.destinationrule import DestinationRuleSpec
from mesh.api.gateway import GatewaySpec
from mesh.api.istio import ISTIO_GROUP, ISTIO_VERSIONS
from mesh.api.istiotelemetry import TELEMETRY_GROUP, TELEMETRY_VERSIONS, TelemetrySpec
from mesh.api.names import MESH_GROUP, MESH_VERSION
from mesh.api.peerauthentication import PeerAuthenticationSpec
from mesh.api.requestauthentication import RequestAuthenticationSpec
from mesh.api.security import SECURITY_GROUP, SECURITY_VERSIONS
from mesh.api.serviceentry import ServiceEntrySpec
from mesh.api.sidecar import SidecarSpec
from mesh.api.trafficsplit import TrafficSplitSpec, TrafficSplitStatus
from mesh.api.virtualservice import VirtualServiceSpec
from rollouts.api.names import GROUP, PLURAL, VERSION
from rollouts.api.rollout import RolloutSpec, RolloutStatus

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["DEFINITIONS", "Column", "Definition"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``. Priority 1 shows with ``-o wide`` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0

    def dump(self) -> dict[str, Any]:
        """Return the column as Kubernetes writes it."""
        found = {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description}
        return found | ({"priority": self.priority} if self.priority else {})


AGE = Column("AGE", ".metadata.creationTimestamp", "Time since it was created.", "date")


@dataclass(frozen=True, slots=True)
class Definition:
    """One kind of resource.

    Attributes:
        group: API group.
        kind: Kind; its lower case is the singular name.
        plural: Plural name.
        short_names: What may be typed instead of the plural.
        versions: API versions with one schema; the first is the one that is stored.
        description: What ``kubectl explain`` says first.
        spec: Model of the spec. A model that forbids unknown fields is Coalmine's own: the API server fills in its
            defaults, and the policy that refuses unknown fields covers it.
        status: Model of the status; None for one that others define.
        columns: Columns of ``kubectl get``.
        name_length: Characters that a resource's name may have.
        categories: Groups of resources that ``kubectl get`` knows.
        scope: Namespaced or Cluster.
    """

    group: str
    kind: str
    plural: str
    short_names: tuple[str, ...]
    versions: tuple[str, ...]
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    columns: tuple[Column, ...]
    name_length: int = 253
    categories: tuple[str, ...] = ("coalmine",)
    scope: str = "Namespaced"

    @property
    def name(self) -> str:
        """The definition's own name, ``<plural>.<group>``."""
        return f"{self.plural}.{self.group}"

    @property
    def own(self) -> bool:
        """Whether unknown fields are refused rather than reported."""
        return self.spec.model_config.get("extra") == "forbid"

    def schema(self) -> Schema:
        """Return the structural schema of a whole object."""
        status: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        if self.status:
            status = structural(self.status, defaults=False, keep_unknown=False)
        found: Schema = {
            "description": self.description,
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": self.name_length}},
                },
                "spec": structural(self.spec, defaults=self.own, keep_unknown=True),
                "status": status,
            },
        }
        return found

    def dump(self) -> dict[str, Any]:
        """Return the CustomResourceDefinition."""
        schema = self.schema()
        versions = [
            {
                "name": version,
                "served": True,
                "storage": index == 0,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
                "additionalPrinterColumns": [column.dump() for column in self.columns],
            }
            for index, version in enumerate(self.versions)
        ]
        names: dict[str, Any] = {
            "kind": self.kind,
            "listKind": f"{self.kind}List",
            "plural": self.plural,
            "singular": self.kind.lower(),
            "shortNames": list(self.short_names),
            "categories": list(self.categories),
        }
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name, "labels": {"app.kubernetes.io/part-of": "coalmine"}},
            "spec": {"group": self.group, "names": names, "scope": self.scope, "versions": versions},
        }


ROLLOUT: Final = Definition(
    group=GROUP,
    kind="Rollout",
    plural=PLURAL,
    short_names=("cro",),  # Argo Rollouts has ro
    versions=(VERSION,),
    description="Rollout gives a Deployment's new versions to a part of the requests first, judges them, and promotes "
    "them or takes them back. spec.workloadRef.name alone is complete.",
    spec=RolloutSpec,
    status=RolloutStatus,
    columns=(
        Column("STATUS", ".status.phase", "Where it is."),
        Column("STEP", ".status.step", "Step of steps."),
        Column("WEIGHT", ".status.weight.configured", "Percent of the requests that the canary shall get.", "integer"),
        Column("ACTUAL", ".status.weight.actual", "Percent of the requests that the canary got.", "number"),
        Column("VERDICT", ".status.verdict", "The judge's last answer."),
        AGE,
        # What `coalmine status` says of many comes from these columns: the objects would be eight times as much.
        Column("STARTED", ".status.startedAt", "When its release began.", priority=1),
        Column("STABLE", ".status.stable.images[*]", "The stable version's images.", priority=1),
        Column("CANARY", ".status.canary.images[*]", "The new version's images.", priority=1),
        Column("MESSAGE", ".status.message", "What it is doing or waiting for.", priority=1),
    ),
    name_length=63,  # it is the value of a label on the Deployment
    categories=("coalmine", "all"),
)

ANALYSIS_TEMPLATE: Final = Definition(
    group=GROUP,
    kind="AnalysisTemplate",
    plural="analysistemplates",
    short_names=("cat",),  # Argo Rollouts has at
    versions=(VERSION,),
    description="AnalysisTemplate holds metrics, with arguments, that Rollouts of its namespace can refer to in "
    "spec.analysis.templates.",
    spec=AnalysisTemplateSpec,
    status=None,
    columns=(Column("METRICS", ".spec.metrics[*].name", "Its metrics."), AGE),
)

CLUSTER_ANALYSIS_TEMPLATE: Final = replace(
    ANALYSIS_TEMPLATE,
    kind="ClusterAnalysisTemplate",
    plural="clusteranalysistemplates",
    short_names=("ccat",),
    description="ClusterAnalysisTemplate holds metrics, with arguments, that Rollouts of all namespaces can refer to in "
    "spec.analysis.templates with clusterScope: true.",
    scope="Cluster",
)

TRAFFIC_SPLIT: Final = Definition(
    group=MESH_GROUP,
    kind="TrafficSplit",
    plural="trafficsplits",
    short_names=("cts",),  # SMI has ts
    versions=(MESH_VERSION,),
    description="TrafficSplit gives each of several Services a share of the requests to a host, whatever routes lead to it.",
    spec=TrafficSplitSpec,
    status=TrafficSplitStatus,
    columns=(
        Column("SERVICE", ".spec.service", "The host whose requests are split."),
        Column("WEIGHTS", ".spec.backends[*].weight", "Percent by backend, as configured."),
        Column("PROXIES", ".status.proxies.affected", "Proxies that send requests to the host.", "integer"),
        Column(
            "ACKNOWLEDGED", ".status.proxies.acknowledged", "Of those, the ones that hold these weights.", "integer"
        ),
        AGE,
    ),
)

VIRTUAL_SERVICE: Final = Definition(
    group=ISTIO_GROUP,
    kind="VirtualService",
    plural="virtualservices",
    short_names=("vs",),
    versions=ISTIO_VERSIONS,
    description="VirtualService (Istio's) says how requests to a host are matched and where they go. Fields that the "
    "mesh does not implement are kept and reported.",
    spec=VirtualServiceSpec,
    status=None,
    columns=(
        Column("GATEWAYS", ".spec.gateways", "Where the rules apply."),
        Column("HOSTS", ".spec.hosts", "The hosts that the rules are for."),
        AGE,
    ),
)

DESTINATION_RULE: Final = Definition(
    group=ISTIO_GROUP,
    kind="DestinationRule",
    plural="destinationrules",
    short_names=("dr",),
    versions=ISTIO_VERSIONS,
    description="DestinationRule (Istio's) names subsets of a host and says how its clusters are treated. Fields that "
    "the mesh does not implement are kept and reported.",
    spec=DestinationRuleSpec,
    status=None,
    columns=(Column("HOST", ".spec.host", "The host that the rule is for."), AGE),
)

SERVICE_ENTRY: Final = Definition(
    group=ISTIO_GROUP,
    kind="ServiceEntry",
    plural="serviceentries",
    short_names=("se",),
    versions=ISTIO_VERSIONS,
    description="ServiceEntry (Istio's) makes hosts that are no Service of the cluster known to sidecars. Fields that the "
    "mesh does not implement are kept and reported.",
    spec=ServiceEntrySpec,
    status=None,
    columns=(
        Column("HOSTS", ".spec.hosts", "The hosts."),
        Column("LOCATION", ".spec.location", "Whether they are of the mesh."),
        Column("RESOLUTION", ".spec.resolution", "How their addresses are found."),
        AGE,
    ),
)

SIDECAR: Final = Definition(
    group=ISTIO_GROUP,
    kind="Sidecar",
    plural="sidecars",
    short_names=(),
    versions=ISTIO_VERSIONS,
    description="Sidecar (Istio's) says which hosts the sidecars of a namespace or of some of its pods know. Fields that "
    "the mesh does not implement are kept and reported.",
    spec=SidecarSpec,
    status=None,
    columns=(AGE,),
)

GATEWAY: Final = Definition(
    group=ISTIO_GROUP,
    kind="Gateway",
    plural="gateways",
    short_names=("gw",),
    versions=ISTIO_VERSIONS,
    description="Gateway (Istio's) says which ports the pods of an ingress proxy open, for which hosts, and with which "
    "certificates. Fields that the mesh does not implement are kept and reported.",
    spec=GatewaySpec,
    status=None,
    columns=(Column("SELECTOR", ".spec.selector", "The pods."), AGE),
)

PEER_AUTHENTICATION: Final = Definition(
    group=SECURITY_GROUP,
    kind="PeerAuthentication",
    plural="peerauthentications",
    short_names=("pa",),
    versions=SECURITY_VERSIONS,
    description="PeerAuthentication (Istio's) says whether pods take mutual TLS, plaintext or both. In the root namespace "
    "and without a selector it is about the whole mesh.",
    spec=PeerAuthenticationSpec,
    status=None,
    columns=(Column("MODE", ".spec.mtls.mode", "What is taken."), AGE),
)

AUTHORIZATION_POLICY: Final = Definition(
    group=SECURITY_GROUP,
    kind="AuthorizationPolicy",
    plural="authorizationpolicies",
    short_names=("ap",),
    versions=SECURITY_VERSIONS,
    description="AuthorizationPolicy (Istio's) says who may send which requests to pods. What the mesh does not implement "
    "is reported and lets nothing through.",
    spec=AuthorizationPolicySpec,
    status=None,
    columns=(Column("ACTION", ".spec.action", "What is done with requests that match."), AGE),
)

REQUEST_AUTHENTICATION: Final = Definition(
    group=SECURITY_GROUP,
    kind="RequestAuthentication",
    plural="requestauthentications",
    short_names=("ra",),
    versions=SECURITY_VERSIONS,
    description="RequestAuthentication (Istio's) says which JSON web tokens pods take. A request with another token is "
    "refused, one without a token is not.",
    spec=RequestAuthenticationSpec,
    status=None,
    columns=(Column("ISSUERS", ".spec.jwtRules[*].issuer", "Whose tokens are taken."), AGE),
)

TELEMETRY: Final = Definition(
    group=TELEMETRY_GROUP,
    kind="Telemetry",
    plural="telemetries",
    short_names=(),
    versions=TELEMETRY_VERSIONS,
    description="Telemetry (Istio's) says how many requests of pods are traced, and with which attributes. In the root "
    "namespace and without a selector it is about the whole mesh. Fields that the mesh does not implement are kept and "
    "reported.",
    spec=TelemetrySpec,
    status=None,
    columns=(Column("SAMPLING", ".spec.tracing[*].randomSamplingPercentage", "Percent that is recorded."), AGE),
)

DEFINITIONS: Final = (
    ROLLOUT,
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    TRAFFIC_SPLIT,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    SERVICE_ENTRY,
    SIDECAR,
    GATEWAY,
    PEER_AUTHENTICATION,
    AUTHORIZATION_POLICY,
    REQUEST_AUTHENTICATION,
    TELEMETRY,
)
