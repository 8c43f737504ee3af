"""Before any traffic moves: each check's answer, and what becomes of the release."""

from __future__ import annotations

import pytest

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from rollouts.api.names import ABORT_ANNOTATION, PROMOTE_ANNOTATION, ROLE_LABEL
from rollouts.api.preflight import PreflightReason
from rollouts.core.preflight.checks import CHECKS
from rollouts.core.preflight.facts import Facts, Kind, PodFact
from rollouts.core.preflight.room import SCHEDULING_SECONDS, quantity


def obj(name, spec=None, status=None, **metadata):
    return {"metadata": {"name": name, **metadata}, "spec": spec or {}, "status": status or {}}


def facts(**kinds):
    """Facts with some objects, given by the names of their kinds."""
    return Facts(objects={Kind[k.upper()]: tuple(found) for k, found in kinds.items()})


def asked(world, found=None):
    """A release whose first pods are ready, at the moment when the checks were asked."""
    world.preflight = found or Facts()
    world.settle()
    world.push("shop:2")
    world.settle()
    return world


def answer(world, check):
    return next(x for x in world.status["preflight"] if x["check"] == check)


def blocked(world, reason, *words):
    """The release waits in Starting, with the reason and the fix in all places where people look."""
    assert world.state == "Starting"
    assert world.weight == 0
    assert world.phase == "Stalled"
    conditions = {c["type"]: c for c in world.status["conditions"]}
    assert conditions["Stalled"]["status"] == "True"
    assert conditions["Stalled"]["reason"] == reason
    assert conditions["Ready"]["status"] == conditions["Reconciling"]["status"] == "False"
    (failed,) = [x for x in world.status["preflight"] if x["result"] == "Fail"]
    assert failed["reason"] == reason
    for word in words:
        assert word in failed["message"]
        assert word in world.status["message"]
    assert list(world.events.values()).count(reason) == 1
    return True


def warned(world, check, reason, *words):
    """The release goes on, and the status tells."""
    assert world.state == "Judging"
    found = answer(world, check)
    assert (found["result"], found["reason"]) == ("Warn", reason)
    for word in words:
        assert word in found["message"]
    assert list(world.events.values()).count(reason) == 1
    return True


def passed(world, check):
    assert world.state == "Judging"
    assert answer(world, check)["result"] == "Pass"
    return True


# --- the chain ---


def test_the_list_asks_one_question_for_each_reason():
    assert [c.reason for c in CHECKS] == list(PreflightReason)


def test_a_release_without_issues_says_so_and_announces_nothing(world):
    asked(world)
    assert world.state == "Judging"
    assert {x["result"] for x in world.status["preflight"]} == {"Pass"}
    assert "PreflightPassed" not in world.events.values()
    assert list(world.events.values())[:3] == ["Adopted", "ReleaseStarted", "StepStarted"]


NO_SIDECAR = Facts(canary_pods=(PodFact("payment-canary-1", sidecar=False),))


def test_a_blocked_release_waits_beyond_its_deadline_and_goes_on_when_mended(make_world):
    world = asked(make_world(progressDeadlineSeconds=30), NO_SIDECAR)
    world.wait(100)
    assert blocked(
        world, "SidecarMissing", "payment-canary-1", "kubectl label namespace shop coalmine.dev/inject=enabled"
    )
    world.preflight = Facts()
    world.settle()
    assert world.state == "Judging"
    assert list(world.events.values()).count("PreflightPassed") == 1


def test_the_progress_deadline_begins_anew_when_it_is_mended(make_world):
    world = make_world(progressDeadlineSeconds=30)
    world.pods_start = False
    asked(world, NO_SIDECAR).wait(100)
    assert world.state == "Starting"
    world.preflight = Facts()
    world.wait(29)
    assert world.state == "Starting"
    world.wait(5)
    assert world.phase in {"RollingBack", "RolledBack"}


def test_an_issue_that_comes_back_is_announced_again(world):
    asked(world, NO_SIDECAR)
    world.pods_start = False
    world.canary["status"] = {}
    world.preflight = Facts()
    world.settle()
    world.preflight = NO_SIDECAR
    world.settle()
    assert list(world.events.values()).count("SidecarMissing") == 2


ARGOS = obj("pay", {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}})


def test_an_issue_that_is_gone_for_a_moment_while_another_blocks_is_no_news(world):
    world.pods_start = False
    asked(world, facts(quotas=[quota({"pods": "4"}, {"pods": "4"})], argo=[ARGOS]))
    for quotas in ([], [quota({"pods": "4"}, {"pods": "4"})]):
        world.preflight = facts(quotas=quotas, argo=[ARGOS])
        world.settle()
    assert answer(world, "Quota")["result"] == "Fail"
    assert list(world.events.values()).count("QuotaExceeded") == 1


def test_an_issue_that_gets_milder_is_not_announced_again_and_one_that_gets_worse_is(world):
    world.pods_start = False
    none, some = quota({"pods": "4"}, {"pods": "4"}), quota({"pods": "6"}, {"pods": "4"})
    asked(world, facts(quotas=[none]))
    assert blocked(world, "QuotaExceeded")
    for found, times in ((some, 1), (none, 2)):
        world.preflight = facts(quotas=[found])
        world.settle()
        assert list(world.events.values()).count("QuotaExceeded") == times


def test_nothing_starts_before_the_facts_are_there(world):
    world.preflight = None
    world.settle()
    world.push("shop:2")
    world.wait(20)
    assert world.state == "Starting"
    assert world.phase == "Starting"
    assert "preflight" not in world.status or world.status["preflight"] == []


def test_every_issue_is_announced_however_many_there_are(world):
    found = {kind: f"{kind} may not be listed" for kind in Kind}
    asked(world, Facts(unread=found, other_pods=(PodFact("cron", sidecar=False),)))
    reasons = [c.reason for c in CHECKS if c.kinds]
    assert world.state == "Judging"
    assert [e for e in world.events.values() if e in set(PreflightReason)] == reasons
    for check in CHECKS:
        expected = "Unknown" if check.kinds else "Pass"
        assert answer(world, check.name)["result"] == expected
    assert "could not be checked: resourcequotas may not be listed" in answer(world, "Quota")["message"]


def test_people_overrule_a_check_by_its_name(make_world):
    world = asked(make_world(preflight={"skip": ["SidecarMissing"]}), NO_SIDECAR)
    assert warned(world, "Sidecars", "SidecarMissing", "overruled by spec.preflight.skip", "payment-canary-1")


def test_a_warning_that_is_overruled_is_silent(make_world):
    world = make_world(preflight={"skip": ["OutlierDetectionUnsafe"]}, outlierDetection={"consecutive5xxErrors": 1})
    assert passed(asked(world), "OutlierDetection")


@pytest.mark.parametrize("way", ["revert", "supersede", "abort", "promote", "resume", "delete"])
def test_people_can_do_everything_with_a_blocked_release(world, way):
    asked(world, NO_SIDECAR)
    match way:
        case "revert":
            world.push("shop:1")
        case "supersede":
            world.push("shop:3")
        case "abort":
            world.annotate(ABORT_ANNOTATION)
        case "promote":
            world.annotate(PROMOTE_ANNOTATION)
        case "resume":
            world.resume()
        case "delete":
            world.delete()
    world.wait(60)
    ends = {
        "revert": ["Reverted"],
        "supersede": ["Superseded"],
        "abort": ["Aborted"],
        "promote": ["Promoted"],
        "resume": ["Overridden"],
        "delete": [],
    }
    assert world.outcomes == ends[way]
    assert world.gone is (way == "delete")
    if way == "revert":
        assert world.status.get("preflight", []) == []
    if way == "supersede":
        assert blocked_again(world)


def blocked_again(world):
    return world.state == "Starting" and list(world.events.values()).count("SidecarMissing") == 2


def test_what_was_promoted_lately_waits_for_the_checks_as_well(make_world):
    world = make_world(rollbackWindow={}, analysis={"enabled": False, "minStepDuration": "1s"})
    asked(world).wait(60)
    assert world.phase == "Healthy"
    world.push("shop:3")
    world.wait(60)
    world.preflight = NO_SIDECAR
    world.push("shop:2")
    world.wait(20)
    assert blocked(world, "SidecarMissing")
    world.preflight = Facts()
    world.wait(20)
    assert world.phase == "Healthy"


# --- sidecars and mutual TLS ---


def test_pods_of_the_stable_side_need_a_sidecar_too(world):
    asked(
        world,
        Facts(stable_pods=(PodFact("payment-1", sidecar=False),), namespace_labels={"coalmine.dev/inject": "enabled"}),
    )
    assert blocked(world, "SidecarMissing", "payment-1", "Namespace shop asks for sidecars already")


def peer(name, mode, **spec):
    return obj(name, {"mtls": {"mode": mode}, **spec}, namespace="shop")


def test_strict_blocks_a_side_without_a_sidecar(make_world):
    world = make_world(preflight={"skip": ["SidecarMissing"]})
    found = Facts(stable_pods=(PodFact("payment-1", sidecar=False),), objects={Kind.PEERS: (peer("all", "STRICT"),)})
    asked(world, found)
    assert blocked(world, "MutualTlsMismatch", "PeerAuthentication shop/all", "STRICT", "payment-1", "PERMISSIVE")


@pytest.mark.parametrize(
    ("own", "mesh", "strict"),
    [
        ([], [], False),
        ([peer("all", "PERMISSIVE")], [peer("root", "STRICT")], False),
        ([peer("all", "UNSET")], [peer("root", "STRICT")], True),
        ([], [peer("root", "STRICT")], True),
        ([peer("all", "STRICT"), peer("x", "DISABLE", selector={"matchLabels": {"team": "shop"}})], [], False),
        ([peer("all", "STRICT"), peer("x", "STRICT", selector={"matchLabels": {"app": "other"}})], [], True),
        (
            [
                peer(
                    "x",
                    "STRICT",
                    selector={"matchLabels": {"team": "shop"}},
                    portLevelMtls={"8080": {"mode": "PERMISSIVE"}},
                )
            ],
            [],
            False,
        ),
        (
            [
                peer(
                    "x",
                    "PERMISSIVE",
                    selector={"matchLabels": {"team": "shop"}},
                    portLevelMtls={"8080": {"mode": "STRICT"}},
                )
            ],
            [],
            True,
        ),
    ],
)
def test_which_peer_authentication_counts_is_istios_precedence(world, own, mesh, strict):
    found = Facts(
        other_pods=(PodFact("caller-1", sidecar=False),), objects={Kind.PEERS: tuple(own), Kind.MESH_PEERS: tuple(mesh)}
    )
    asked(world, found)
    if strict:
        assert warned(world, "MutualTls", "MutualTlsMismatch", "caller-1")
    else:
        assert passed(world, "MutualTls")


def test_strict_for_one_version_only_is_told(world):
    asked(world, facts(peers=[peer("payment", "STRICT", selector={"matchLabels": {"app": "payment"}})]))
    assert warned(world, "MutualTls", "MutualTlsMismatch", "STRICT for the stable pods and not for the canary's")


@pytest.mark.parametrize(("sidecar", "result"), [(True, "Pass"), (False, "Unknown")])
def test_rules_of_the_mesh_that_nobody_may_read_matter_only_where_a_sidecar_is_missing(world, sidecar, result):
    unread = {Kind.MESH_PEERS: "peerauthentications may not be listed"}
    asked(world, Facts(other_pods=(PodFact("caller-1", sidecar=sidecar),), unread=unread))
    assert world.state == "Judging"
    assert answer(world, "MutualTls")["result"] == result


def test_strict_with_sidecars_everywhere_is_fine(world):
    asked(world, Facts(other_pods=(PodFact("caller-1"),), objects={Kind.PEERS: (peer("all", "STRICT"),)}))
    assert passed(world, "MutualTls")


# --- ports and probes ---


def changed(world, image="shop:2", **container):
    """A release of a template whose container differs."""
    world.settle()
    template = world.deployment["spec"]["template"]
    template = {
        **template,
        "spec": {"containers": [{**template["spec"]["containers"][0], "image": image, **container}]},
    }
    world.deployment["spec"]["template"] = template
    world.deployment["spec"]["paused"] = True
    world._touch(world.deployment)
    world.settle()
    return world


def test_a_named_port_that_the_template_lost_blocks(world):
    world.service["spec"]["ports"] = [{"port": 80, "targetPort": "http"}]
    changed(world, ports=[{"name": "web", "containerPort": 8080}])
    assert blocked(world, "ServicePortsMismatch", "port 80 to port 'http'", "web", "targetPort")
    changed(world, "shop:3", ports=[{"name": "http", "containerPort": 9090}]).wait(30)
    assert passed(world, "ServicePorts")


@pytest.mark.parametrize("target", [{"targetPort": 8081}, {}])
def test_a_number_that_nobody_declares_warns(world, target):
    world.service["spec"]["ports"] = [{"port": 80, **target}]
    asked(world)
    assert warned(world, "ServicePorts", "ServicePortsMismatch", str(target.get("targetPort", 80)), "declares")


def test_a_template_without_a_readiness_probe_warns(world):
    changed(world, readinessProbe=None)
    assert warned(world, "Probes", "ProbesMissing", "readinessProbe")


# --- room ---


@pytest.mark.parametrize(
    ("text", "value"), [("250m", "0.25"), ("1Gi", str(2**30)), ("3", "3"), ("1e3", "1000"), ("2k", "2000"), ("x", "0")]
)
def test_quantities_are_read_as_kubernetes_writes_them(text, value):
    assert str(quantity(text).normalize()) == str(quantity(value).normalize())
    assert float(quantity(text)) == float(value)


def quota(hard, used, **spec):
    return obj("limits", {"hard": hard, **spec}, {"used": used})


def test_a_quota_without_room_for_the_first_step_blocks(world):
    world.pods_start = False
    world.settle()
    world.preflight = facts(quotas=[quota({"pods": "4"}, {"pods": "4"})])
    world.push("shop:2")
    world.settle()
    assert blocked(
        world, "QuotaExceeded", "ResourceQuota limits has pods 0 left of 4", "1 more pods take 1", "spec.hard[pods]"
    )


def test_a_quota_without_room_for_promotion_warns(world):
    asked(world, facts(quotas=[quota({"pods": "6"}, {"pods": "4"})]))
    assert warned(world, "Quota", "QuotaExceeded", "promotion needs 4 canary pods", "pods 2 left of 6")


def test_requests_and_limits_count_against_a_quota(world):
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    world.settle()
    world.pods_start = False
    world.preflight = facts(
        quotas=[quota({"requests.memory": "5Gi", "cpu": "3"}, {"requests.memory": "3Gi", "cpu": "2750m"})]
    )
    changed(world, resources=resources)
    assert blocked(world, "QuotaExceeded", "cpu 0.250 left of 3", "take 0.5")


def test_a_quota_for_some_pods_only_is_left_to_the_api_server(world):
    asked(world, facts(quotas=[quota({"pods": "4"}, {"pods": "4"}, scopes=["BestEffort"])]))
    assert passed(world, "Quota")


def refused(world, message):
    world.pods_start = False
    world.settle()
    world.push("shop:2")
    world.settle()
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    world.canary["status"] = {"conditions": [condition]}
    world.settle()


def test_pods_that_a_quota_refused_are_told_in_the_api_servers_words(world):
    refused(world, 'pods "x" is forbidden: exceeded quota: limits')
    assert blocked(world, "QuotaExceeded", "exceeded quota: limits", "spec.hard")


def test_pods_that_something_else_refused_are_told_too(world):
    refused(world, 'admission webhook "policy.example.com" denied the request: no latest tags')
    assert blocked(world, "CapacityMissing", "no latest tags")


def test_a_pod_without_a_node_warns_first_and_blocks_later(world):
    world.settle()
    world.pods_start = False
    words = "0/3 nodes are available: 3 Insufficient cpu"
    world.preflight = Facts(canary_pods=(PodFact("payment-canary-1", unscheduled=words, unscheduled_at=world.now),))
    world.push("shop:2")
    world.settle()
    assert answer(world, "Capacity")["result"] == "Warn"
    assert world.phase == "Starting"
    world.wait(SCHEDULING_SECONDS)
    assert world.phase == "Stalled"
    assert words in world.status["message"]


@pytest.mark.parametrize(
    ("spec", "nothing"),
    [
        ({"maxUnavailable": 0}, True),
        ({"maxUnavailable": "0%"}, True),
        ({"minAvailable": "100%"}, True),
        ({"minAvailable": 4}, True),
        ({"minAvailable": 3}, False),
        ({"maxUnavailable": 1}, False),
    ],
)
@pytest.mark.parametrize("labels", [{"app": "payment"}, {ROLE_LABEL: "canary"}])
def test_a_disruption_budget_that_allows_nothing_warns(world, spec, nothing, labels):
    asked(world, facts(budgets=[obj("never", {**spec, "selector": {"matchLabels": labels}})]))
    if nothing:
        assert warned(world, "Capacity", "CapacityMissing", "PodDisruptionBudget never")
    else:
        assert passed(world, "Capacity")


def test_the_canarys_own_disruption_budget_is_no_news(world):
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {ROLE_LABEL: "canary"}}}
    asked(world, facts(budgets=[obj("payment-canary", spec, ownerReferences=[{"uid": "uid-rollout"}])]))
    assert passed(world, "Capacity")


def test_a_disruption_budget_of_others_is_nothing_to_us(world):
    asked(world, facts(budgets=[obj("never", {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "db"}}})]))
    assert passed(world, "Capacity")


# --- outlier detection ---


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"consecutive5xxErrors": 1}, "consecutive5xxErrors: 1 ejects"),
        ({"consecutive5xxErrors": 0}, "never ejects"),
        ({"maxEjectionPercent": 0}, "never ejects"),
    ],
)
def test_dangerous_outlier_settings_warn(make_world, settings, words):
    world = asked(make_world(outlierDetection=settings))
    assert warned(world, "OutlierDetection", "OutlierDetectionUnsafe", words)


@pytest.mark.parametrize(
    ("host", "ours"), [("payment", True), ("payment.shop.svc.cluster.local", True), ("ledger", False)]
)
def test_a_destination_rule_that_may_eject_the_whole_canary_blocks(world, host, ours):
    spec = {"host": host, "trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 100}}}
    asked(world, facts(destination_rules=[obj("payment", spec, annotations={FULL_EJECTION_ANNOTATION: "true"})]))
    if ours:
        assert blocked(world, "OutlierDetectionUnsafe", "DestinationRule payment", "maxEjectionPercent: 50")
    else:
        assert passed(world, "OutlierDetection")


def test_without_its_annotation_the_mesh_holds_ejection_to_half(world):
    spec = {"host": "payment", "trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 100}}}
    asked(world, facts(destination_rules=[obj("payment", spec)]))
    assert passed(world, "OutlierDetection")


# --- rivals ---


TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
OTHER = {**TARGET, "name": "ledger"}


@pytest.mark.parametrize(
    ("spec", "rival"),
    [
        ({"targetRef": TARGET}, True),
        ({"targetRef": OTHER, "service": {"name": "payment"}}, True),
        ({"targetRef": OTHER}, False),
    ],
)
def test_flaggers_canary_of_the_same_workload_blocks(world, spec, rival):
    asked(world, facts(flagger=[obj("pay", spec)]))
    if rival:
        assert blocked(world, "RouteOwned", "Flagger's Canary pay", "kubectl delete canary.flagger.app pay")
    else:
        assert passed(world, "Route")


@pytest.mark.parametrize(
    ("spec", "rival"),
    [
        ({"workloadRef": TARGET}, True),
        ({"strategy": {"canary": {"stableService": "payment"}}}, True),
        ({"strategy": {"blueGreen": {"activeService": "payment"}}}, True),
        ({"workloadRef": OTHER}, False),
    ],
)
def test_argos_rollout_of_the_same_workload_blocks(world, spec, rival):
    asked(world, facts(argo=[obj("pay", spec)]))
    if rival:
        assert blocked(world, "RouteOwned", "Argo's Rollout pay", "kubectl delete rollout.argoproj.io pay")
    else:
        assert passed(world, "Route")


def test_another_split_of_the_same_service_blocks(world):
    asked(world, Facts(splits=(obj("mine", {"service": "payment"}), obj("ledger", {"service": "ledger"}))))
    assert blocked(world, "RouteOwned", "TrafficSplit mine")


def http_route(*backends, **metadata):
    return obj("web", {"rules": [{"backendRefs": [{"name": n, "weight": w} for n, w in backends]}]}, **metadata)


def virtual_service(*destinations):
    routes = [{"destination": {"host": h}, "weight": w} for h, w in destinations]
    return obj("web", {"http": [{"route": routes}]})


FLAGGERS = [{"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "pay"}]


def test_a_route_that_another_controller_made_blocks(world):
    asked(world, facts(http_routes=[http_route(("payment", 100), ownerReferences=FLAGGERS)]))
    assert blocked(world, "RouteOwned", "HTTPRoute web belongs to Flagger's Canary pay")


def test_a_route_that_names_the_canary_itself_blocks(world):
    asked(world, facts(virtual_services=[virtual_service(("payment", 50), ("payment-canary.shop.svc", 50))]))
    assert blocked(world, "RouteOwned", "VirtualService web", "Service payment-canary")


@pytest.mark.parametrize(
    "found",
    [
        {"http_routes": [http_route(("payment", 50), ("payment-v2", 50))]},
        {"virtual_services": [virtual_service(("payment", 50), ("payment-v2", 50))]},
    ],
)
def test_weights_that_people_wrote_warn(world, found):
    asked(world, facts(**found))
    assert warned(world, "Route", "RouteOwned", "payment, payment-v2")


def test_a_route_with_one_destination_and_one_of_others_are_fine(world):
    routes = [http_route(("payment", 1), ("payment-v2", 0)), http_route(("a", 1), ("b", 1))]
    asked(world, facts(http_routes=routes, virtual_services=[virtual_service(("payment", 100))]))
    assert passed(world, "Route")


# --- autoscalers ---


def autoscaler(name, target):
    return obj(name, {"scaleTargetRef": {"kind": "Deployment", "name": target}})


def test_an_autoscaler_of_the_canary_blocks(world):
    asked(world, facts(autoscalers=[autoscaler("greedy", "payment-canary")]))
    assert blocked(world, "AutoscalerConflict", "HorizontalPodAutoscaler greedy", "spec.scaleTargetRef name payment")


def test_two_autoscalers_of_the_deployment_warn_and_one_is_fine(world):
    asked(world, facts(autoscalers=[autoscaler("a", "payment"), autoscaler("b", "payment"), autoscaler("c", "x")]))
    assert warned(world, "Autoscaler", "AutoscalerConflict", "a, b")


def test_one_autoscaler_is_fine(world):
    asked(world, facts(autoscalers=[autoscaler("a", "payment")]))
    assert passed(world, "Autoscaler")


# --- metrics ---


def test_metrics_that_cannot_be_reached_block_until_they_answer(world):
    world.measuring_problem, world.measuring_answers = "no telemetry from http://mesh: connection refused", False
    asked(world).wait(30)
    assert blocked(world, "MetricsUnreachable", "connection refused", "spec.analysis.source")
    world.measuring_problem, world.measuring_answers = "", True
    world.settle()
    assert world.state == "Judging"


def test_a_source_that_answers_and_has_nothing_yet_only_warns(world):
    world.measuring_problem = "no pod has a histogram yet"
    asked(world)
    assert warned(world, "Metrics", "MetricsUnreachable", "nothing can be judged yet", "no pod has a histogram yet")


def test_a_source_that_did_not_answer_yet_is_waited_for_in_silence(world):
    world.measuring_answers = False
    asked(world).wait(5)
    assert world.state == "Starting"
    assert world.phase == "Starting"
    assert "first answer" in world.status["message"]
    assert answer(world, "Metrics")["result"] == "Unknown"
    assert "MetricsUnreachable" not in world.events.values()
    world.measuring_answers = True
    world.settle()
    assert world.state == "Judging"


@pytest.mark.parametrize("spec", [{"analysis": {"enabled": False}}, {"preflight": {"skip": ["MetricsUnreachable"]}}])
def test_where_nothing_is_judged_or_it_is_overruled_metrics_are_not_waited_for(make_world, spec):
    world = make_world(**spec)
    world.measuring_answers = False
    asked(world)
    assert world.state == "Judging"
