"""AuthorizationPolicy (Istio's): who may send which requests to a workload.

Implemented: ``selector``, ``targetRefs`` of kind Service, the actions ALLOW, DENY and AUDIT, and every field of a rule.
``mesh.resolve.authz`` says what becomes of the rest; it is never ignored in a way that would let more requests through.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from mesh.api.istio import IstioResource
from mesh.api.security import TargetReference, WorkloadSelector  # noqa: TC001 - pydantic reads it at run time

__all__ = [
    "DRY_RUN_ANNOTATION",
    "AuthorizationPolicySpec",
    "Condition",
    "From",
    "Operation",
    "Provider",
    "Rule",
    "Source",
    "To",
]

DRY_RUN_ANNOTATION: Final = "istio.io/dry-run"
"""On a policy: with ``true`` it decides nothing."""

_TEMPLATE: Final = re.compile(r"\{\*\*?\}")
_NAMESPACE: Final = re.compile(r"\*?[a-z0-9-]{0,63}\*?")
_ACCOUNT: Final = re.compile(r"([a-z0-9-]{1,63}/)?[a-z0-9.-]{1,253}")
_HEADER: Final = re.compile(r"request\.headers\[(:?[!#$%&'*+.^_`|~0-9A-Za-z-]+)\]")
_CLAIM: Final = re.compile(r"request\.auth\.claims((\[[^\[\]]+\])+)")


def _block(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f"{value!r} is not an address or a block of addresses: write it like 10.0.0.1 or 10.0.0.0/8"
        ) from None
    return value


def _port(value: str) -> str:
    if not (value.isascii() and value.isdigit() and int(value) < 2**16):
        raise ValueError(f"{value!r} is not a port: write a number up to 65535, in quotes")
    return value


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError(f"{value!r} is not a service account: write its name, or its namespace/name")
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError(f"{value!r} is not a namespace: write its name, or the beginning or end of one with a *")
    return value


def _path(value: str) -> str:
    """Check a template; other paths may be anything."""
    if not _TEMPLATE.search(value):
        return value
    segments = value.strip("/").split("/")
    for segment in segments:
        if segment not in {"{*}", "{**}"} and any(c in segment for c in "{}*"):
            raise ValueError(
                f"{value!r}: in a path with {{*}} or {{**}} each of them is a whole part between two slashes"
            )
    if "{**}" in segments and any(s in {"{*}", "{**}"} for s in segments[segments.index("{**}") + 1 :]):
        raise ValueError(f"{value!r}: nothing variable may follow {{**}}")
    return value


Text = Annotated[str, Field(min_length=1)]
"""``abc`` is that text, ``abc*`` begins with it, ``*abc`` ends with it, ``*`` is anything but nothing."""
Block = Annotated[str, Field(min_length=1), AfterValidator(_block)]
Port = Annotated[str, Field(min_length=1), AfterValidator(_port)]
Account = Annotated[str, Field(min_length=1), AfterValidator(_account)]
Namespace = Annotated[str, Field(min_length=1), AfterValidator(_namespace)]
Path = Annotated[str, Field(min_length=1), AfterValidator(_path)]


class Source(IstioResource):
    """Who sends a request; all fields must hold, each by one of its values."""

    principals: tuple[Text, ...] = ()
    not_principals: tuple[Text, ...] = ()
    request_principals: tuple[Text, ...] = ()
    not_request_principals: tuple[Text, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    not_namespaces: tuple[Namespace, ...] = ()
    service_accounts: tuple[Account, ...] = ()
    not_service_accounts: tuple[Account, ...] = ()
    ip_blocks: tuple[Block, ...] = ()
    not_ip_blocks: tuple[Block, ...] = ()
    remote_ip_blocks: tuple[Block, ...] = ()
    not_remote_ip_blocks: tuple[Block, ...] = ()

    @model_validator(mode="after")
    def _one_kind_of_identity(self) -> Source:
        accounts = self.service_accounts or self.not_service_accounts
        if accounts and (self.principals or self.not_principals or self.namespaces or self.not_namespaces):
            raise ValueError("serviceAccounts cannot be combined with principals or namespaces: use one of them")
        return self


class From(IstioResource):
    """A source."""

    source: Source


class Operation(IstioResource):
    """What a request does; all fields must hold, each by one of its values."""

    hosts: tuple[Text, ...] = ()
    not_hosts: tuple[Text, ...] = ()
    ports: tuple[Port, ...] = ()
    not_ports: tuple[Port, ...] = ()
    methods: tuple[Text, ...] = ()
    not_methods: tuple[Text, ...] = ()
    paths: tuple[Path, ...] = ()
    not_paths: tuple[Path, ...] = ()


class To(IstioResource):
    """An operation."""

    operation: Operation


class Condition(IstioResource):
    """A further condition of a request."""

    key: Annotated[str, Field(min_length=1)]
    values: tuple[Text, ...] = ()
    not_values: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> Condition:
        if not self.values and not self.not_values:
            raise ValueError(f"{self.key} has neither values nor notValues: write one of them")
        check = {"source.ip": _block, "remote.ip": _block, "destination.ip": _block, "destination.port": _port}
        check |= {"source.serviceAccount": _account, "source.namespace": _namespace}
        for value in (*self.values, *self.not_values):
            check.get(self.key, str)(value)
        return self

    @property
    def header(self) -> str:
        """The header of ``request.headers[…]``, in lower case; empty for other keys."""
        found = _HEADER.fullmatch(self.key)
        return found[1].lower() if found else ""

    @property
    def claim(self) -> tuple[str, ...]:
        """The path of ``request.auth.claims[…][…]``; empty for other keys."""
        found = _CLAIM.fullmatch(self.key)
        return tuple(found[1][1:-1].split("][")) if found else ()


class Rule(IstioResource):
    """One source, one operation and all conditions must hold; an empty rule always does."""

    from_: Annotated[tuple[From, ...], Field(alias="from")] = ()
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


class Provider(IstioResource):
    """Whom the action CUSTOM would ask."""

    name: str = ""


class AuthorizationPolicySpec(IstioResource):
    """Desired access to the workloads that are chosen; without a selector all of the namespace."""

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: tuple[TargetReference, ...] = ()
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    provider: Provider | None = None
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _an_empty_spec_is_one(cls, value: Any) -> Any:
        """Istio's ``allow-nothing`` has ``spec: {}``, which clients may store as nothing at all."""
        return {} if value is None else value

    @model_validator(mode="after")
    def _one_target(self) -> AuthorizationPolicySpec:
        if self.selector and self.targets:
            raise ValueError("spec.selector: cannot be combined with targetRefs: remove one of them")
        return self

    @property
    def targets(self) -> tuple[TargetReference, ...]:
        """All targets."""
        return (*self.target_refs, *((self.target_ref,) if self.target_ref else ()))
