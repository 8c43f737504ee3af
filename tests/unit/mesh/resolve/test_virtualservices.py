"""Several VirtualServices: who sees which, which is used, and what is merged."""

from __future__ import annotations

import pytest

from mesh.ir.services import Service, ServicePort
from mesh.resolve.clauses import Caller
from mesh.resolve.rules import read_virtual_service
from mesh.resolve.virtualservices import VirtualServices

KNOWN = {("shop", "payment"): Service("shop", "payment", (ServicePort("http", 80, 8080),))}
PAYMENT = ("shop", "payment")
FQDN = "payment.shop.svc.cluster.local"
AGES = iter(range(1, 10_000))


def rule(name, *http, hosts=("payment.shop",), namespace="shop", **more):
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": name,
        "creationTimestamp": f"2026-01-01T00:00:{next(AGES):06}Z",
    }
    spec = {"http": list(http), **more} | ({"hosts": list(hosts)} if hosts else {})
    made = read_virtual_service({"kind": "VirtualService", "metadata": meta, "spec": spec})
    assert made.spec is not None, made.problems
    return made


def to(prefix="", **more):
    match = {"match": [{"uri": {"prefix": prefix}}]} if prefix else {}
    return {**match, "route": [{"destination": {"host": "payment"}}], **more}


def used(rules, namespace="shop", gateway="mesh"):
    """Return the rules that are used, as name and index, and reasons by VirtualService."""
    index = VirtualServices(rules, KNOWN)
    ruling = index.find(Caller(namespace, gateway=gateway), PAYMENT, FQDN)
    chosen = [f"{c.ref.name}[{c.index}]" for c in ruling.clauses] if ruling else []
    return chosen, [(p.ref.name, p.reason) for p in index.problems]


def test_the_callers_namespace_goes_before_the_hosts_and_that_before_others():
    rules = [rule("third", to(), namespace="ops"), rule("theirs", to(), namespace="web"), rule("own", to())]
    assert used(rules, "web")[0] == ["theirs[0]"]
    assert used(rules, "shop")[0] == ["own[0]"]
    assert used(rules, "else")[0] == ["own[0]"]
    assert used(rules[:1], "else")[0] == ["third[0]"]


def test_what_is_not_exported_to_a_caller_is_not_used():
    hidden = rule("hidden", to(), exportTo=["."])
    assert used([hidden], "web")[0] == []
    assert used([hidden], "shop")[0] == ["hidden[0]"]
    assert used([rule("for-web", to(), exportTo=["web"])], "web")[0] == ["for-web[0]"]


def test_an_exact_host_goes_before_a_longer_wildcard_and_that_before_a_shorter():
    everything = rule("everything", to(), hosts=["*"])
    services = rule("services", to(), hosts=["*.shop.svc.cluster.local"])
    exact = rule("exact", to(), hosts=["payment"])
    assert used([everything, services, exact])[0] == ["exact[0]"]
    assert used([everything, services])[0] == ["services[0]"]
    assert used([everything])[0] == ["everything[0]"]


def test_two_that_do_not_meet_are_merged_and_what_takes_all_goes_last():
    old, young = rule("old", to("/a"), to()), rule("young", to("/b"))
    assert used([young, old]) == (["old[0]", "young[0]", "old[1]"], [])


def test_rules_that_are_never_reached_stay_so_when_merged():
    old, young = rule("old", to(), to("/dead")), rule("young", to("/b"))
    assert used([old, young])[0] == ["young[0]", "old[0]"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/ab"}}),
        ({"uri": {"prefix": "/a"}}, {"headers": {"x": {"exact": "1"}}}),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"exact": "/ab"}}),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"regex": "/b.*"}}),
        ({"uri": {"exact": "/A"}, "ignoreUriCase": True}, {"uri": {"exact": "/a"}}),
        ({"withoutHeaders": {"x": {}}}, {"headers": {"y": {}}}),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"b": "1"}}),
    ],
)
def test_two_that_may_meet_are_not_merged(first, second):
    old, young = rule("old", {**to(), "match": [first]}), rule("young", {**to(), "match": [second]})
    assert used([old, young]) == (["old[0]"], [("young", "Shadowed")])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"exact": "/b"}}),
        ({"method": {"exact": "GET"}}, {"method": {"exact": "PUT"}}),
        ({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}}),
        ({"headers": {"x": {}}}, {"withoutHeaders": {"x": {}}}),
        ({"port": 80}, {"port": 81}),
        ({"sourceNamespace": "a"}, {"sourceNamespace": "b"}),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "2"}}),
        ({"gateways": ["mesh"]}, {"gateways": ["edge"]}),
        ({"uri": {"regex": "("}}, {"uri": {"prefix": "/"}, "method": {"exact": "GET"}}),
    ],
)
def test_two_that_cannot_meet_are_merged(first, second):
    old, young = rule("old", {**to(), "match": [first]}), rule("young", {**to(), "match": [second]})
    assert used([old, young]) == (["old[0]", "young[0]"], [])


def test_of_two_that_take_all_the_older_is_used():
    assert used([rule("old", to()), rule("young", to())]) == (["old[0]"], [("young", "Shadowed")])


def test_gateways_are_told_apart_and_look_in_all_namespaces():
    rules = [rule("edge", to("/a"), gateways=["edge"]), rule("web", to("/b"), namespace="web", gateways=["shop/edge"])]
    rules.append(rule("inside", to(), gateways=["mesh"]))
    assert used(rules, "gate", "shop/edge")[0] == ["edge[0]", "web[0]"]
    assert used(rules)[0] == ["inside[0]"]
    assert VirtualServices(rules, KNOWN).gateways == {"shop/edge"}


def test_a_delegate_stands_in_for_the_rule_and_inherits():
    root = rule("root", {"match": [{"uri": {"prefix": "/a"}}], "timeout": "3s", "name": "r", "delegate": {"name": "d"}})
    own = to("/a/b", timeout="1s", name="first")
    delegate = rule("d", own, to(), hosts=())
    index = VirtualServices([root, delegate], KNOWN)
    ruling = index.find(Caller("shop"), PAYMENT, FQDN)
    assert ruling is not None
    first, second = (c.http for c in ruling.clauses)
    assert (first.name, first.timeout, first.match[0].uri.prefix) == ("r-first", 1.0, "/a/b")
    assert (second.name, second.timeout, second.match[0].uri.prefix) == ("r", 3.0, "/a")
    assert index.problems == ()


def test_a_delegates_match_beyond_the_roots_is_left_out_and_told():
    root = rule("root", {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "d"}})
    assert used([root, rule("d", to("/b"), to("/a/c"), hosts=())]) == (["d[1]"], [("d", "Delegate")])


@pytest.mark.parametrize(
    ("delegates", "told"),
    [
        ([], "root"),
        ([("other", {})], "root"),
        ([("d", {"namespace": "web"})], "root"),
        ([("d", {"delegate": True})], "d"),
    ],
)
def test_what_is_wrong_with_a_delegate_is_told(delegates, told):
    made = [rule("root", {"delegate": {"name": "d"}}), rule("root2", to("/x"), hosts=["other.example.com"])]
    for name, more in delegates:
        http = {"delegate": {"name": "e"}} if more.get("delegate") else to()
        made.append(rule(name, http, hosts=(), namespace=more.get("namespace", "shop")))
    chosen, problems = used(made)
    assert chosen == []
    assert (told, "Delegate") in problems


def test_a_delegate_of_another_namespace_must_be_exported():
    root = rule("root", {"delegate": {"name": "d", "namespace": "web"}})
    assert used([root, rule("d", to(), hosts=(), namespace="web")])[0] == ["d[0]"]
    hidden = rule("d", to(), hosts=(), namespace="web", exportTo=["."])
    assert used([root, hidden]) == ([], [("root", "Delegate"), ("d", "Unused")])


def test_a_delegate_that_nobody_names_is_told():
    assert used([rule("d", to(), hosts=())]) == ([], [("d", "Unused")])
