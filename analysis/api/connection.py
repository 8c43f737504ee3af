"""How services are reached and who is asking: what the settings of several providers share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from analysis.api.secret import SecretKeyRef
from crds.base import Duration, Resource
from crds.schema import Rule, rules

__all__ = ["PLACEHOLDER", "Address", "BasicAuth", "Query", "Service", "Tls"]

PLACEHOLDER: Final = "{{"
"""A text that holds this is filled in from the template's arguments first, and is checked after that."""

Address = Annotated[str, Field(min_length=1, max_length=2048)]
Query = Annotated[str, Field(min_length=1, max_length=16384)]


class BasicAuth(Resource):
    """User name and password (HTTP basic authentication)."""

    username: Annotated[SecretKeyRef, Field(description="The user name.")]
    password: Annotated[SecretKeyRef, Field(description="The password.")]


class Tls(Resource):
    """How the server is verified, and the client's certificate (mTLS)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="has(self.certificate) == has(self.privateKey)",
                message="certificate and privateKey belong together: write both or none",
            )
        )
    )

    ca: Annotated[
        SecretKeyRef | None,
        Field(
            description="Certificates (PEM) that the server's is signed by; without it, those of public authorities."
        ),
    ] = None
    certificate: Annotated[
        SecretKeyRef | None, Field(description="The client's certificate and its chain (PEM), for mTLS.")
    ] = None
    private_key: Annotated[SecretKeyRef | None, Field(description="The private key of certificate (PEM).")] = None
    insecure_skip_verify: Annotated[
        bool, Field(description="Take any certificate: whoever is in between can read and change the answers.")
    ] = False

    @model_validator(mode="after")
    def _both_or_none(self) -> Tls:
        if (self.certificate is None) != (self.private_key is None):
            msg = "certificate and privateKey belong together: write both or none"
            raise ValueError(msg)
        return self


class Service(Resource):
    """A service that is asked over HTTP."""

    timeout: Annotated[
        Duration,
        Field(gt=0, description="Give up on an answer after this long, and ask again at the next measurement."),
    ] = 10.0
    tls: Annotated[Tls | None, Field(description="How the server is verified, and the client's certificate.")] = None
