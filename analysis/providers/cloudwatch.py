"""Amazon CloudWatch: GetMetricData in its JSON protocol, with AWS's own library for identities and signatures.

Documented at https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_pascal

from analysis.providers.answers import number, single
from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from analysis.providers.http import Answer, Call, Http
from analysis.providers.refusals import said
from analysis.providers.secrets import Secrets

try:
    import botocore.exceptions
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError as error:
    msg = "cloudWatch needs botocore: pip install coalmine[cloudwatch]"
    raise ConfigurationError(msg) from error

if TYPE_CHECKING:
    from analysis.api.services import CloudWatch
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]

_TARGET: Final = "GraniteServiceVersion20100801.GetMetricData"
_SERVICE: Final = "monitoring"
# Names of AWS's common errors: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CommonErrors.html
_REFUSED: Final = (
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
)
_PASSING: Final = ("Throttl", "InternalFailure", "InternalServiceFault", "ServiceUnavailable", "LimitExceeded")


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal)


class _Message(_Wire):
    code: str = ""
    value: str = ""


class _Result(_Wire):
    id: str = ""
    label: str = ""
    status_code: str = "Complete"
    values: list[float | None] = []
    messages: list[_Message] = []


class _Answer(_Wire):
    metric_data_results: list[_Result] = []
    messages: list[_Message] = []


def open_values(settings: CloudWatch, context: Context) -> ValueSource:
    """Return the source for the queries."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: CloudWatch, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("CloudWatch", settings, context)
        self._session = botocore.session.Session()

    async def measure(self, at: float) -> float | None:
        secrets = Secrets(self._context.secret)
        credentials = await self._credentials(secrets)
        # Finding an identity and an endpoint reads files, and may ask AWS.
        call = await asyncio.to_thread(self._signed, self._body(at), credentials)
        answer = await self._http.read(_Answer, call, secrets, lambda refused: _fault(refused, secrets))
        wanted = next(query for query in self._settings.metric_data_queries if query.return_data)
        fix = "aggregate them in an expression (SUM(METRICS()), AVG(SEARCH(…)))"
        result = single(answer.metric_data_results, "series", wanted.expression or wanted.id, fix)
        if result is None:
            return None
        words = secrets.redact("; ".join(message.value for message in (*result.messages, *answer.messages)))
        if result.status_code == "Forbidden":
            msg = f"CloudWatch refuses query {wanted.id} ({words}): check {_identity(secrets)}"
            raise ConfigurationError(msg)
        if result.status_code == "InternalError":
            msg = f"CloudWatch could not answer query {wanted.id}: {words}"
            raise UnavailableError(msg)
        return number(result.values[0] if result.values else None, "CloudWatch's value")

    async def close(self) -> None:
        await self._http.close()

    async def _credentials(self, secrets: Secrets) -> Credentials | None:
        given = self._settings.credentials
        if given is None:
            return None
        token = await secrets.value(given.session_token) if given.session_token else None
        return Credentials(
            await secrets.value(given.access_key_id), await secrets.value(given.secret_access_key), token
        )

    def _body(self, at: float) -> bytes:
        """Return the request: the newest finished period first.

        A point of a period that has not ended yet counts only a part of it, so the time ends where a period does.
        """
        period = self._period()
        end = math.floor(at / period) * period
        start = math.floor((at - max(self._settings.interval, period)) / period) * period
        queries = [_pascal(query.dump()) for query in self._settings.metric_data_queries]
        body = {"StartTime": start, "EndTime": end, "ScanBy": "TimestampDescending", "MetricDataQueries": queries}
        return json.dumps(body).encode()

    def _period(self) -> int:
        """Return the longest period in seconds: that of the value, whatever feeds it."""
        return max(
            (query.metric_stat.period if query.metric_stat else query.period or 1)
            for query in self._settings.metric_data_queries
        )

    def _signed(self, body: bytes, credentials: Credentials | None) -> Call:
        try:
            identity = credentials or self._session.get_credentials()
            if identity is None:
                msg = "AWS knows no identity of the controller: set cloudWatch.credentials, or give it a role (IRSA, Pod Identity)"
                raise ConfigurationError(msg)
            request = AWSRequest("POST", self._endpoint(), headers=_headers(), data=body)
            SigV4Auth(identity.get_frozen_credentials(), _SERVICE, self._settings.region).add_auth(request)
        except botocore.exceptions.HTTPClientError as error:
            msg = f"AWS gives no identity now: {error}"
            raise UnavailableError(msg) from error
        except botocore.exceptions.BotoCoreError as error:
            msg = f"AWS gives the controller no identity ({error}): set cloudWatch.credentials, or correct its role"
            raise ConfigurationError(msg) from error
        return Call("POST", request.url, headers=dict(request.headers.items()), body=body)

    def _endpoint(self) -> str:
        if self._settings.address:
            return f"{self._settings.address.rstrip('/')}/"
        resolver = self._session.get_component("endpoint_resolver")
        found = resolver.construct_endpoint(_SERVICE, self._settings.region) or {}
        return f"https://{found.get('hostname') or f'{_SERVICE}.{self._settings.region}.amazonaws.com'}/"


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": _TARGET}


def _pascal(value: Any) -> Any:
    """Return settings as CloudWatch writes them: ``metricStat`` is ``MetricStat``."""
    match value:
        case dict():
            return {key[0].upper() + key[1:]: _pascal(inner) for key, inner in value.items()}
        case list():
            return [_pascal(inner) for inner in value]
        case _:
            return value


def _fault(answer: Answer, secrets: Secrets) -> SourceError | None:
    """Return what a refusal means: AWS says most by name, with status 400."""
    try:
        name = str(answer.document().get("__type", "")).rpartition("#")[2]
    except (ValueError, AttributeError):
        return None
    words = secrets.redact(said(answer.text))
    if name.startswith(_REFUSED):
        return ConfigurationError(f"CloudWatch refuses the request ({name}: {words}): check {_identity(secrets)}")
    if name.startswith(_PASSING):
        return UnavailableError(f"CloudWatch cannot answer now ({name}: {words})")
    return None


def _identity(secrets: Secrets) -> str:
    return str(secrets) or "that the controller's role allows cloudwatch:GetMetricData"
