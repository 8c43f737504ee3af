"""Every field of Istio's resources (its API of August 2026), by kind: what the page of supported fields is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FIELDS", "OTHER_KINDS", "Tree"]

Tree = Mapping[str, "Tree | None"]
"""Fields by name, each with its own fields; None for one without. Lists and maps stand for their items."""


def _fields(names: str, **nested: Tree) -> Tree:
    """Return fields without fields of their own, and those with."""
    return {**dict.fromkeys(names.split()), **nested}


_STRING: Final = _fields("exact prefix regex")
_PORT: Final = _fields("number")
_PLACE: Final = _fields("host subset", port=_PORT)
_PERCENT: Final = _fields("value")
_CHANGES: Final = _fields("add remove set")
_HEADERS: Final = _fields("", request=_CHANGES, response=_CHANGES)
_SELECTOR: Final = _fields("matchLabels")
_LABELS: Final = _fields("labels")
_TARGET: Final = _fields("group kind name namespace")
_MODE: Final = _fields("mode")
_PROVIDER: Final = _fields("name")

_HTTP_MATCH: Final = _fields(
    "name port gateways ignoreUriCase sourceLabels sourceNamespace statPrefix",
    uri=_STRING,
    scheme=_STRING,
    method=_STRING,
    authority=_STRING,
    headers=_STRING,
    withoutHeaders=_STRING,
    queryParams=_STRING,
)
_HTTP: Final = _fields(
    "name timeout mirrorPercent mirror_percent",
    match=_HTTP_MATCH,
    route=_fields("weight", destination=_PLACE, headers=_HEADERS),
    redirect=_fields("uri authority port derivePort scheme redirectCode prefixRewrite"),
    directResponse=_fields("status", body=_fields("string bytes")),
    delegate=_fields("name namespace"),
    rewrite=_fields("uri authority", uriRegexRewrite=_fields("match rewrite")),
    retries=_fields("attempts perTryTimeout retryOn retryRemoteLocalities retryIgnorePreviousHosts backoff"),
    fault=_fields(
        "",
        delay=_fields("fixedDelay exponentialDelay percent", percentage=_PERCENT),
        abort=_fields("httpStatus grpcStatus http2Error", percentage=_PERCENT),
    ),
    mirror=_PLACE,
    mirrorPercentage=_PERCENT,
    mirrors=_fields("", destination=_PLACE, percentage=_PERCENT),
    corsPolicy=_fields(
        "allowOrigin allowMethods allowHeaders exposeHeaders maxAge allowCredentials unmatchedPreflights",
        allowOrigins=_STRING,
    ),
    headers=_HEADERS,
)
_WEIGHTED: Final = _fields("weight", destination=_PLACE)
_L4: Final = "destinationSubnets gateways port sourceLabels sourceNamespace"

_KEEPALIVE: Final = _fields("probes time interval")
_POOL: Final = _fields(
    "",
    tcp=_fields("maxConnections connectTimeout maxConnectionDuration idleTimeout", tcpKeepalive=_KEEPALIVE),
    http=_fields(
        "http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout h2UpgradePolicy "
        "useClientProtocol maxConcurrentStreams",
        http2KeepAlive=_fields("interval timeout"),
    ),
)
_FAILOVER: Final = _fields("from to")
_BALANCER: Final = _fields(
    "simple warmupDurationSecs",
    consistentHash=_fields(
        "httpHeaderName useSourceIp httpQueryParameterName minimumRingSize",
        httpCookie=_fields("name path ttl", attributes=_fields("name value")),
        ringHash=_fields("minimumRingSize"),
        maglev=_fields("tableSize"),
    ),
    warmup=_fields("duration minimumPercent aggression"),
    localityLbSetting=_fields("enabled failoverPriority", distribute=_FAILOVER, failover=_FAILOVER),
    zoneAwareLbSetting=_fields("enabled failoverPriority minClusterSize", failover=_FAILOVER),
    backendUtilization=_fields(
        "errorUtilizationPenaltyPercent metricNamesForComputingUtilization weightExpirationPeriod "
        "weightStabilizationPeriod weightUpdatePeriod"
    ),
)
_OUTLIERS: Final = _fields(
    "consecutive5xxErrors consecutiveGatewayErrors consecutiveErrors consecutiveLocalOriginFailures interval "
    "baseEjectionTime maxEjectionPercent minHealthPercent splitExternalLocalOriginErrors outlierDetectionHttpErrorCodes"
)
_CLIENT_TLS: Final = _fields(
    "mode clientCertificate privateKey caCertificates caCrl credentialName subjectAltNames sni insecureSkipVerify"
)
_PORT_POLICY: Final = _fields(
    "", connectionPool=_POOL, loadBalancer=_BALANCER, outlierDetection=_OUTLIERS, tls=_CLIENT_TLS
)
_POLICY: Final = _fields(
    "",
    **_PORT_POLICY,  # type: ignore[arg-type]
    portLevelSettings=_fields("", port=_PORT, **_PORT_POLICY),  # type: ignore[arg-type]
    tunnel=_fields("protocol targetHost targetPort"),
    proxyProtocol=_fields("version"),
    retryBudget=_fields("percent minRetryConcurrency budgetInterval"),
)

_SERVER_TLS: Final = _fields(
    "mode httpsRedirect credentialName credentialNames serverCertificate privateKey caCertificates caCertCredentialName "
    "caCrl subjectAltNames verifyCertificateSpki verifyCertificateHash minProtocolVersion maxProtocolVersion "
    "cipherSuites ecdhCurves insecureSkipVerify",
    tlsCertificates=_fields("serverCertificate privateKey caCertificates"),
)
_SERVER_PORT: Final = _fields("number protocol name targetPort")
_SOURCE: Final = (
    "principals notPrincipals requestPrincipals notRequestPrincipals namespaces notNamespaces ipBlocks notIpBlocks "
    "remoteIpBlocks notRemoteIpBlocks serviceAccounts notServiceAccounts trustDomains notTrustDomains"
)

FIELDS: Final[Mapping[str, Tree]] = {
    "VirtualService": _fields(
        "hosts gateways exportTo",
        http=_HTTP,
        tls=_fields("", match=_fields(f"sniHosts {_L4}"), route=_WEIGHTED),
        tcp=_fields("", match=_fields(f"sourceSubnet {_L4}"), route=_WEIGHTED),
    ),
    "DestinationRule": _fields(
        "host exportTo",
        trafficPolicy=_POLICY,
        subsets=_fields("name labels", trafficPolicy=_POLICY),
        workloadSelector=_SELECTOR,
    ),
    "Gateway": _fields(
        "selector", servers=_fields("name hosts bind defaultEndpoint", port=_SERVER_PORT, tls=_SERVER_TLS)
    ),
    "ServiceEntry": _fields(
        "hosts addresses location resolution exportTo subjectAltNames",
        ports=_fields("number protocol name targetPort"),
        endpoints=_fields("address ports labels network locality weight serviceAccount"),
        workloadSelector=_LABELS,
    ),
    "Sidecar": _fields(
        "",
        workloadSelector=_LABELS,
        ingress=_fields("bind captureMode defaultEndpoint", port=_SERVER_PORT, tls=_SERVER_TLS, connectionPool=_POOL),
        egress=_fields("hosts bind captureMode", port=_SERVER_PORT),
        inboundConnectionPool=_POOL,
        outboundTrafficPolicy=_fields("mode", egressProxy=_PLACE),
    ),
    "PeerAuthentication": _fields("", selector=_SELECTOR, mtls=_fields("mode"), portLevelMtls=_fields("mode")),
    "AuthorizationPolicy": _fields(
        "action",
        selector=_SELECTOR,
        targetRef=_TARGET,
        targetRefs=_TARGET,
        rules=_fields(
            "",
            **{"from": _fields("", source=_fields(_SOURCE))},
            to=_fields("", operation=_fields("hosts notHosts ports notPorts methods notMethods paths notPaths")),
            when=_fields("key values notValues"),
        ),
        provider=_fields("name"),
    ),
    "RequestAuthentication": _fields(
        "",
        selector=_SELECTOR,
        targetRef=_TARGET,
        targetRefs=_TARGET,
        jwtRules=_fields(
            "issuer audiences jwksUri jwks_uri jwks fromParams fromCookies outputPayloadToHeader forwardOriginalToken "
            "timeout spaceDelimitedClaims presence",
            fromHeaders=_fields("name prefix"),
            outputClaimToHeaders=_fields("header claim"),
        ),
    ),
    "Telemetry": _fields(
        "",
        selector=_SELECTOR,
        targetRef=_TARGET,
        targetRefs=_TARGET,
        tracing=_fields(
            "randomSamplingPercentage disableSpanReporting useRequestIdForTraceSampling enableIstioTags",
            match=_MODE,
            providers=_PROVIDER,
            customTags=_fields(
                "",
                literal=_fields("value"),
                environment=_fields("name defaultValue"),
                header=_fields("name defaultValue"),
                formatter=_fields("value"),
            ),
        ),
        metrics=_fields(
            "reportingInterval",
            providers=_PROVIDER,
            overrides=_fields(
                "disabled",
                match=_fields("metric customMetric mode"),
                tagOverrides=_fields("operation value"),
            ),
        ),
        accessLogging=_fields("disabled", match=_MODE, providers=_PROVIDER, filter=_fields("expression")),
    ),
}
"""The fields of each spec."""
OTHER_KINDS: Final = (
    "EnvoyFilter",
    "ProxyConfig",
    "TrafficExtension",
    "WasmPlugin",
    "WorkloadEntry",
    "WorkloadGroup",
)
"""Istio's further kinds."""
