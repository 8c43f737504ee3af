"""RequestAuthentications: which tokens a pod takes, and what is told of keys that are not there."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ir.services import Workload
from mesh.resolve.keysets import usable_keys
from mesh.resolve.tokens import JwtIndex, key_sources, read_request_authentication
from mesh.xds.jwt import jwt_config

POD = Workload("shop", "payment-1", "10.0.0.1", labels=(("app", "payment"),))
SECRET = {"kty": "oct", "k": "c2VjcmV0", "kid": "1"}
CURVE = {
    "kty": "EC",
    "crv": "P-256",
    "x": "DHDVA1r25Qpl-8cNSeqP6az-3kP3J1w622lKbHPwGTk",
    "y": "GnThfTLkyomAkSA4kq52Z5RTIhI4UN1Bru7WYp2FJYk",
}
KEYS = json.dumps({"keys": [SECRET]})


def rule(spec: Any, name: str = "tokens", namespace: str = "shop") -> Any:
    meta = {"name": name, "namespace": namespace, "uid": name}
    return read_request_authentication({"kind": "RequestAuthentication", "metadata": meta, "spec": spec})


def issuer(name: str = "https://issuer.example.com", **more: Any) -> dict[str, Any]:
    return {"jwtRules": [{"issuer": name, **more}]}


def index(*rules: Any, keys: dict[str, str] | None = None, errors: dict[str, str] | None = None) -> JwtIndex:
    return JwtIndex(rules, {}, keys or {}, errors or {})


def test_rules_of_all_resources_hold_together_by_issuer():
    second = rule(issuer("https://b.example.com", jwks=KEYS), "b", "istio-system")
    first = rule(issuer("https://a.example.com", jwks=KEYS, audiences=["x"]), "a")
    elsewhere = rule(issuer(jwks=KEYS), "c", "web")
    found = index(second, elsewhere, first).of(POD)
    assert [(jwt.issuer, jwt.audiences) for jwt in found] == [
        ("https://a.example.com", ("x",)),
        ("https://b.example.com", ()),
    ]
    assert found[0].space_delimited == ("permission", "scope")


def test_a_selector_chooses_pods():
    other = rule({"selector": {"matchLabels": {"app": "other"}}, **issuer(jwks=KEYS)})
    assert index(other).of(POD) == ()


def test_keys_are_fetched_from_the_url_or_by_the_issuer():
    rules = [rule(issuer("a", jwksUri="https://a/keys")), rule(issuer("https://b")), rule(issuer("c", jwks=KEYS))]
    assert list(key_sources(rules)) == ["https://a/keys", "https://b"]


def test_a_rule_waits_for_its_keys_and_refuses_tokens_when_they_cannot_be_had():
    fetched = rule(issuer(jwksUri="https://a/keys"))
    assert index(fetched).of(POD) == ()
    assert index(fetched, keys={"https://a/keys": KEYS}).of(POD)[0].jwks == usable_keys(KEYS)
    failed = index(fetched, errors={"https://a/keys": "status 503"})
    assert failed.of(POD)[0].jwks == ""
    (problem,) = failed.problems
    assert problem.message == (
        "spec.jwtRules[0].jwksUri: the keys cannot be fetched, every token is refused: status 503"
    )
    stale = index(fetched, keys={"https://a/keys": KEYS}, errors={"https://a/keys": "status 503"})
    assert stale.of(POD)[0].jwks == usable_keys(KEYS)
    assert "the last known keys are used" in stale.problems[0].message


@pytest.mark.parametrize(
    ("jwt", "field"),
    [
        ({"issuer": ""}, "spec.jwtRules[0].issuer"),
        ({"issuer": "a", "jwksUri": "ftp://a"}, "spec.jwtRules[0].jwksUri"),
        ({"issuer": "a", "jwks": "no"}, "spec.jwtRules[0].jwks"),
        ({"issuer": "a", "jwks": '{"keys": []}'}, "spec.jwtRules[0].jwks"),
        ({"issuer": "a", "jwks": KEYS, "jwksUri": "https://a"}, "spec.jwtRules[0]"),
        ({"issuer": "a", "outputPayloadToHeader": "a b"}, "spec.jwtRules[0].outputPayloadToHeader"),
        ({"issuer": "a", "timeout": "0s"}, "spec.jwtRules[0].timeout"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(jwt, field):
    (problem,) = index(rule({"jwtRules": [jwt]})).problems
    assert problem.message.startswith(f"{field}: ")


def test_a_key_set_without_a_key_that_can_be_used_is_told():
    useless = json.dumps({"keys": [{**CURVE, "x": "AAAA"}]})
    (problem,) = index(rule(issuer(jwks=useless))).problems
    assert problem.message == "spec.jwtRules[0].jwks: no key in it can be used: every token is refused"


def test_keys_that_cannot_be_used_are_left_out():
    broken = [
        {**CURVE, "y": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "!"},
        {"kty": "what"},
        7,
        {**SECRET, "alg": "RS256"},
    ]
    kept = json.loads(usable_keys(json.dumps({"keys": [*broken, {**SECRET, "note": "x"}, CURVE]})))
    assert kept == {"keys": [SECRET, CURVE]}
    modulus = base64.urlsafe_b64encode(((1 << 2047) + 1).to_bytes(256, "big")).rstrip(b"=").decode()
    assert usable_keys(json.dumps({"keys": [{"kty": "RSA", "n": modulus, "e": "AQAB"}]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["issuer", "audiences", "jwks", "jwksUri", "fromHeaders", "fromParams", "timeout", "claim", "name"]
)


@given(JSON)
def test_no_key_set_crashes(value):
    assert usable_keys(json.dumps(value)) == ""
    assert usable_keys(json.dumps({"keys": value})) == ""


@given(st.dictionaries(NAMES, JSON, max_size=5), JSON)
def test_no_resource_crashes(jwt, spec):
    for found in (index(rule({"jwtRules": [jwt]})), index(rule(spec))):
        assert jwt_config(found.of(POD)).SerializeToString()
