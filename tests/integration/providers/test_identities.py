"""How sources prove who they are to AWS and Google, checked as those two check it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs

import botocore.serialize
import botocore.session
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from analysis.api.services import CloudWatch, Stackdriver
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.registry import open_settings

pytestmark = pytest.mark.integration

AT = 1_700_000_000.0
VALUE = {"MetricDataResults": [{"Id": "a", "StatusCode": "Complete", "Values": [0.25]}]}
VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [AT, "0.25"]}]}}


@pytest.fixture
async def opened(context):
    """Opens a source with settings and secrets."""
    sources = []

    def open_(settings, **secrets):
        sources.append(open_settings(settings, context({"keys": secrets})))
        return sources[-1]

    yield open_
    for source in sources:
        await source.close()


# AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html


def signature(seen, secret):
    """Return the signature that a request should have, from what arrived of it."""
    scope, signed = re.search(
        r"Credential=[^/]+/([^,]+), SignedHeaders=([^,]+)", seen["headers"]["Authorization"]
    ).groups()
    canonical = "\n".join(
        [
            seen["method"],
            seen["path"],
            "",
            *(f"{name}:{seen['headers'][name].strip()}" for name in signed.split(";")),
            "",
            signed,
            hashlib.sha256(seen["text"].encode()).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", seen["headers"]["X-Amz-Date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def cloudwatch(address, **more):
    query = {"id": "a", "expression": "SELECT AVG(Errors) FROM App"}
    return CloudWatch.model_validate(
        {"address": address, "region": "eu-central-1", "metricDataQueries": [query]} | more
    )


CREDENTIALS = {
    "accessKeyId": {"name": "keys", "key": "id"},
    "secretAccessKey": {"name": "keys", "key": "secret"},
}


async def test_a_request_to_aws_is_signed_with_the_key_of_the_secret(double, opened):
    double.says(body=VALUE)
    source = opened(cloudwatch(double.address, credentials=CREDENTIALS), id="AKIDEXAMPLE", secret="wJalrXUtnFEMI")
    assert await source.measure(AT) == 0.25
    (seen,) = double.seen
    authorization = seen["headers"]["Authorization"]
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-central-1/monitoring/aws4_request", authorization
    )
    assert authorization.endswith(f"Signature={signature(seen, 'wJalrXUtnFEMI')}")
    assert {"host", "x-amz-date", "x-amz-target"} <= set(
        re.search("SignedHeaders=([^,]+)", authorization)[1].split(";")
    )


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    """A machine that AWS knows nothing of."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return monkeypatch


async def test_without_credentials_the_controllers_own_identity_is_used(double, opened, no_aws):
    no_aws.setenv("AWS_ACCESS_KEY_ID", "AKIDOWN")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    double.says(body=VALUE)
    assert await opened(cloudwatch(double.address)).measure(AT) == 0.25
    (seen,) = double.seen
    assert "Credential=AKIDOWN/" in seen["headers"]["Authorization"]
    assert seen["headers"]["Authorization"].endswith(signature(seen, "own-secret"))


async def test_without_any_identity_aws_is_not_asked(double, opened, no_aws):
    del no_aws
    with pytest.raises(ConfigurationError, match=r"cloudWatch\.credentials"):
        await opened(cloudwatch(double.address)).measure(AT)
    assert not double.seen


async def test_the_request_is_the_one_that_awss_own_client_makes(double, opened):
    double.says(body=VALUE)
    metric = {"namespace": "App", "metricName": "Errors", "dimensions": [{"name": "Service", "value": "payment"}]}
    queries = [
        {"id": "a", "expression": "b * 100", "label": "percent", "period": 60},
        {
            "id": "b",
            "returnData": False,
            "metricStat": {"stat": "p99", "period": 60, "unit": "Count", "metric": metric},
        },
    ]
    settings = cloudwatch(double.address, credentials=CREDENTIALS, metricDataQueries=queries)
    await opened(settings, id="AKIDEXAMPLE", secret="wJalrXUtnFEMI").measure(AT)
    (seen,) = double.seen
    aws_metric = {"Namespace": "App", "MetricName": "Errors", "Dimensions": [{"Name": "Service", "Value": "payment"}]}
    asked = {
        "StartTime": 1_699_999_680,
        "EndTime": 1_699_999_980,
        "ScanBy": "TimestampDescending",
        "MetricDataQueries": [
            {"Id": "a", "Expression": "b * 100", "Label": "percent", "Period": 60, "ReturnData": True},
            {
                "Id": "b",
                "ReturnData": False,
                "MetricStat": {"Stat": "p99", "Period": 60, "Unit": "Count", "Metric": aws_metric},
            },
        ],
    }
    model = botocore.session.Session().get_service_model("cloudwatch").operation_model("GetMetricData")
    theirs = botocore.serialize.create_serializer("json").serialize_to_request(asked, model)
    assert json.loads(seen["text"]) == json.loads(theirs["body"])
    for name in ("X-Amz-Target", "Content-Type"):
        assert seen["headers"][name] == theirs["headers"][name]


# Google: https://developers.google.com/identity/protocols/oauth2/service-account#httprest


def stackdriver(address):
    key = {"name": "keys", "key": "key.json"}
    return Stackdriver.model_validate({"address": address, "project": "p", "query": "up", "serviceAccountKey": key})


def account(address, key):
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "coalmine@p.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "token_uri": f"{address}/token",
        }
    )


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


async def test_google_gets_a_signed_assertion_once_for_many_measurements(double, opened, key):
    double.says(body={"access_token": "ya29.first", "expires_in": 3600, "token_type": "Bearer"})
    double.says(body=VECTOR)
    source = opened(stackdriver(double.address), **{"key.json": account(double.address, key)})
    assert [await source.measure(AT), await source.measure(AT)] == [0.25, 0.25]
    asked, *measured = double.seen
    (assertion,) = parse_qs(asked["text"])["assertion"]
    header, claims, signed = assertion.split(".")
    key.public_key().verify(part(signed), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(part(claims))["scope"] == "https://www.googleapis.com/auth/monitoring.read"
    assert json.loads(part(claims))["iss"] == "coalmine@p.iam.gserviceaccount.com"
    assert [seen["headers"]["Authorization"] for seen in measured] == ["Bearer ya29.first"] * 2


async def test_a_key_that_google_revoked_is_named(double, opened, key):
    double.says(status=400, body={"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    with pytest.raises(ConfigurationError, match=r"Secret keys \(key\.json\)"):
        await opened(stackdriver(double.address), **{"key.json": account(double.address, key)}).measure(AT)


@pytest.mark.parametrize("text", ["{}", "not JSON", "[]", '{"type": "service_account"}'])
async def test_what_is_no_key_is_named(text, double, opened):
    with pytest.raises(ConfigurationError, match=r"Secret keys \(key\.json\) does not hold a service account's key"):
        await opened(stackdriver(double.address), **{"key.json": text}).measure(AT)


async def test_google_being_down_is_no_matter_of_the_key(double, opened, key):
    source = opened(stackdriver(double.address), **{"key.json": account("http://127.0.0.1:1", key)})
    with pytest.raises(UnavailableError, match="no token now"):
        await source.measure(AT)


async def test_the_token_is_not_shown(double, opened, key):
    double.says(body={"access_token": "ya29.first", "expires_in": 3600, "token_type": "Bearer"})
    double.says(status=400, body={"error": "what is ya29.first?"})
    with pytest.raises(ConfigurationError, match="«secret»"):
        await opened(stackdriver(double.address), **{"key.json": account(double.address, key)}).measure(AT)
