"""One suite over all providers of values.

``services/*.yaml`` holds, for each, what its service documents: the request that must arrive, and answers with what they
must come to. Below is what holds for every service that is asked over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from analysis.api import services
from analysis.api.prometheus import PrometheusQuery
from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from analysis.providers.registry import open_settings

pytestmark = pytest.mark.integration

AT = 1_700_000_000.0
MODELS = {"PrometheusQuery": PrometheusQuery} | {name: getattr(services, name) for name in services.__all__}
FILES = sorted((Path(__file__).parent / "services").glob("*.yaml"))
SERVICES = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES}
ANSWERS = [
    pytest.param(service, answer, id=f"{name}: {said}")
    for name, service in SERVICES.items()
    for said, answer in service["answers"].items()
]
EACH = [pytest.param(service, id=name) for name, service in SERVICES.items()]
REQUIRED = {"value", "none", "not a number", "bad query", "refused", "throttled"}


@pytest.fixture(scope="session")
def service_account():
    """The JSON of a Google service account whose key is made here; the token address is filled in."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "client_email": "coalmine@shop-prod.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": pem.decode(),
    }
    return lambda address: json.dumps(account | {"token_uri": f"{address}/token"})


@pytest.fixture
async def measure(double, context, service_account):
    """Measures with a service's settings against the double."""
    opened = []

    def source_for(service, **more):
        settings = json.loads(json.dumps(service["settings"]).replace("ADDRESS", double.address)) | more
        secrets = {
            name: {key: service_account(double.address) if v == "SERVICE_ACCOUNT" else v for key, v in values.items()}
            for name, values in service["secrets"].items()
        }
        opened.append(open_settings(MODELS[service["provider"]].model_validate(settings), context(secrets)))
        return opened[-1]

    yield source_for
    for source in opened:
        await source.close()
        await source.close()  # closing twice is fine


def tell(double, service, *answers):
    """Tell the double what to say; Google's gives a token first."""
    if service["provider"] == "Stackdriver":
        double.says(body={"access_token": "ya29.token-of-the-double", "expires_in": 3600, "token_type": "Bearer"})
    for answer in answers:
        double.says(**{key: answer[key] for key in ("status", "text", "body", "headers") if key in answer})


def test_each_service_documents_what_must_be_known():
    assert {service["provider"] for service in SERVICES.values()} == set(MODELS) - {"Job", "Plugin"}
    for name, service in SERVICES.items():
        assert service["answers"].keys() >= REQUIRED, name


@pytest.mark.parametrize(("service", "answer"), ANSWERS)
async def test_an_answer_comes_to_what_it_means(service, answer, double, measure):
    tell(double, service, answer)
    source = measure(service)
    if "measures" in answer:
        assert await source.measure(AT) == answer["measures"]
    elif "wrong" in answer:
        with pytest.raises(ConfigurationError) as raised:
            await source.measure(AT)
        for words in answer["wrong"]:
            assert words in str(raised.value)
    else:
        with pytest.raises(UnavailableError) as raised:
            await source.measure(AT)
        assert raised.value.retry_after == answer["later"]
    if "measures" not in answer:
        for value in (value for secret in service["secrets"].values() for value in secret.values()):
            assert value.strip() not in str(raised.value)


@pytest.mark.parametrize("service", EACH)
async def test_the_request_is_the_documented_one(service, double, measure):
    tell(double, service, service["answers"]["value"])
    await measure(service).measure(AT)
    wanted, seen = service["request"], double.seen[-1]
    assert (seen["method"], seen["path"]) == (wanted["method"], wanted["path"])
    assert seen["query"] == wanted.get("query", {})
    assert {key: seen["headers"].get(key) for key in wanted["headers"]} == wanted["headers"]
    if "json" in wanted:
        assert json.loads(seen["text"]) == wanted["json"]
    elif "form" in wanted:
        assert dict(parse_qsl(seen["text"])) == wanted["form"]
    else:
        assert not seen["text"]


@pytest.mark.parametrize("service", EACH)
async def test_a_failing_service_is_asked_again_later(service, double, measure):
    tell(double, service, {"status": 500, "text": "<html><title>Oh no</title></html>"})
    with pytest.raises(UnavailableError, match="500: Oh no"):
        await measure(service).measure(AT)


@pytest.mark.parametrize("service", EACH)
async def test_silence_ends_with_the_time_out(service, double, measure):
    tell(double, service)
    double.says_nothing()
    with pytest.raises(UnavailableError, match=r"did not answer within 0\.3 s"):
        await measure(service, timeout="300ms").measure(AT)


@pytest.mark.parametrize("service", EACH)
async def test_a_service_that_is_down_is_asked_again_later(service, double, measure):
    tell(double, service)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address = "url" if service["provider"] == "Web" else "address"
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await measure(service, **{address: f"http://127.0.0.1:{port}"}).measure(AT)


@pytest.mark.parametrize("service", EACH)
@pytest.mark.parametrize("text", ["<html><title>Sign in</title></html>", "{", "[" * 100_000])
async def test_what_is_not_an_answer_names_the_address(service, text, double, measure):
    tell(double, service, {"text": text})
    with pytest.raises(ConfigurationError, match=r"(check|correct) the address"):
        await measure(service).measure(AT)


@pytest.mark.parametrize("service", EACH)
@pytest.mark.parametrize("body", [None, 7, "words", [], {}, [[]], {"data": []}, {"result": [7]}, {"values": [[1]]}])
async def test_other_json_is_never_a_crash(service, body, double, measure):
    tell(double, service, {"body": body})
    with contextlib.suppress(ConfigurationError):
        assert await measure(service).measure(AT) is None


def spoilt(document):
    """Return copies of a document with one part of it replaced by something else, for each part."""
    yield from (None, 7, "words", [], {}, [[]])
    if not isinstance(document, dict | list):
        return
    for key in document if isinstance(document, dict) else range(len(document)):
        for other in spoilt(document[key]):
            copy = document.copy()
            copy[key] = other
            yield copy


def spoilt_table(text):
    """The same for CSV."""
    cells = text.split(",")
    return [
        ",".join([*cells[:index], other, *cells[index + 1 :]]) for index in range(len(cells)) for other in ("", "x")
    ]


@pytest.mark.parametrize("service", EACH)
async def test_an_answer_with_one_part_spoilt_is_never_a_crash(service, double, measure):
    value = service["answers"]["value"]
    texts = [json.dumps(body) for body in spoilt(value["body"])] if "body" in value else spoilt_table(value["text"])
    tell(double, service, *({"text": text} for text in texts))
    source = measure(service)
    for text in texts:
        try:
            value = await source.measure(AT)
        except SourceError:
            continue
        assert value is None or isinstance(value, float), text
    assert len(double.seen) >= len(texts)


@pytest.mark.parametrize("service", EACH)
async def test_an_answer_without_end_is_not_read_to_its_end(service, double, measure):
    tell(double, service, {"text": "7" * (5 * 1024 * 1024)})
    with pytest.raises(ConfigurationError, match=r"more than 4 MiB|correct the address"):
        await measure(service).measure(AT)


@pytest.mark.parametrize("service", EACH)
async def test_a_missing_secret_is_named(service, double, context):
    settings = json.loads(json.dumps(service["settings"]).replace("ADDRESS", double.address))
    source = open_settings(MODELS[service["provider"]].model_validate(settings), context({}))
    with pytest.raises(ConfigurationError, match="has no key"):
        await source.measure(AT)
    assert not double.seen
    await source.close()
