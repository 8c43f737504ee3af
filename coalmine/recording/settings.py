"""From options, a file and secrets in files to the settings of a Prometheus, as a Rollout has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from analysis.api.prometheus import PrometheusCounts
from analysis.providers.base import ConfigurationError
from crds.explain import explain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FIELDS", "LOGINS", "GivenSecrets", "SettingsError", "block_of", "settings_of"]

FIELDS: Final = (
    "preset",
    "requests",
    "errors",
    "latency",
    "latency_unit",
    "matchers",
    "canary",
    "baseline",
    "pod_label",
    "route_label",
    "replica_labels",
    "buckets",
    "scrape_interval",
    "lateness",
    "tenant",
    "timeout",
)
"""Settings that have an option of their own name."""
LOGINS: Final = ("token_file", "user", "password_file", "ca_file", "cert_file", "key_file", "insecure_skip_verify")
"""Options that say who is asking."""
_OPTIONS: Final = {"address": "--prometheus", "replicaLabels": "--replica-label"}
_GIVEN: Final = "command-line"
"""Stands for a Secret's name where a value comes from an option."""
_TOKEN: Final = "COALMINE_PROMETHEUS_TOKEN"  # noqa: S105 - a variable's name
_PASSWORD: Final = "COALMINE_PROMETHEUS_PASSWORD"  # noqa: S105 - a variable's name


class SettingsError(ValueError):
    """The settings cannot be used; the message names the option or the field, and the fix."""


@dataclass
class GivenSecrets:
    """Secret values that people gave: in files or in the environment, never on the command line.

    Attributes:
        files: Files that hold one value each, by the Secret's name and key.
        values: Values, by the same.
    """

    files: dict[tuple[str, str], Path] = field(default_factory=dict)
    values: dict[tuple[str, str], str] = field(default_factory=dict)

    def own(self, name: str, key: str) -> str | None:
        """Return a value that was given; None for another.

        Raises:
            ConfigurationError: Its file cannot be read.
        """
        if (name, key) in self.values:
            return self.values[name, key]
        file = self.files.get((name, key))
        if file is None:
            return None
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}, the value of {key}, cannot be read: {error}") from None

    async def read(self, name: str, key: str) -> str:
        """Return a value. See ``analysis.providers.base.Context``.

        Raises:
            ConfigurationError: It was not given.
        """
        value = self.own(name, key)
        if value is None:
            raise ConfigurationError(f"Secret {name} is not known here: give its value with --secret {name}/{key}=FILE")
        return value


def block_of(file: Path) -> dict[str, Any]:
    """Return the ``prometheus:`` block of a file: a Rollout, its ``source:``, or the block itself.

    Raises:
        SettingsError: There is none.
    """
    try:
        documents = [found for found in yaml.safe_load_all(file.read_text(encoding="utf-8")) if found]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"--source {file}: cannot be read: {error}") from None
    if len(documents) > 1:
        documents = [found for found in documents if isinstance(found, dict) and found.get("kind") == "Rollout"]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise SettingsError(f"--source {file}: write one Rollout, or its prometheus block alone")
    found: Any = documents[0]
    if found.get("kind") == "Rollout":
        found = ((found.get("spec") or {}).get("analysis") or {}).get("source") or {}
        if "prometheus" not in found:
            raise SettingsError(f"--source {file}: the Rollout has no spec.analysis.source.prometheus: write it")
    for key in ("source", "prometheus"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise SettingsError(f"--source {file}: prometheus holds no settings: write address, preset and so on below it")
    return found


def settings_of(
    block: Mapping[str, Any], options: Mapping[str, Any], secrets: GivenSecrets, env: Mapping[str, str]
) -> PrometheusCounts:
    """Return the settings: what options say, and where they say nothing what the block says.

    Args:
        block: Settings as a Rollout has them.
        options: Values of ``FIELDS`` and ``LOGINS``, and ``prometheus``. None and empty values stand for "not given".
        secrets: Takes the values that options and environment name.
        env: The environment.

    Raises:
        SettingsError: They cannot be used.
    """
    found = dict(block)
    for name in FIELDS:
        if (value := options.get(name)) not in {None, ()}:
            found[to_camel(name)] = list(value) if isinstance(value, tuple) else value
    if options.get("prometheus"):
        found["address"] = options["prometheus"]
    _log_in(found, options, secrets, env)
    _secure(found, options, secrets)
    try:
        return PrometheusCounts.model_validate(found)
    except ValidationError as error:
        raise SettingsError("; ".join(_by_option(words) for words in explain(error, PrometheusCounts, ""))) from None


def _log_in(found: dict[str, Any], options: Mapping[str, Any], secrets: GivenSecrets, env: Mapping[str, str]) -> None:
    token, user, password = options.get("token_file"), options.get("user"), options.get("password_file")
    if token and user:
        raise SettingsError("--token-file and --user are two logins: write one")
    if password and not user:
        raise SettingsError("--password-file belongs to --user NAME: write both")
    if user:
        found.pop("bearerToken", None)
        if not password and _PASSWORD not in env:
            raise SettingsError(f"--user needs a password: --password-file FILE, or {_PASSWORD} in the environment")
        secrets.values[_GIVEN, "user"] = user
        key = "password-file" if password else _PASSWORD
        if password:
            secrets.files[_GIVEN, key] = password
        else:
            secrets.values[_GIVEN, key] = env[_PASSWORD]
        found["basicAuth"] = {"username": _ref("user"), "password": _ref(key)}
    elif token:
        found.pop("basicAuth", None)
        secrets.files[_GIVEN, "token-file"] = token
        found["bearerToken"] = _ref("token-file")
    elif env.get(_TOKEN) and not {"bearerToken", "basicAuth"} & found.keys():
        secrets.values[_GIVEN, _TOKEN] = env[_TOKEN]
        found["bearerToken"] = _ref(_TOKEN)


def _secure(found: dict[str, Any], options: Mapping[str, Any], secrets: GivenSecrets) -> None:
    tls = dict(found.get("tls") or {})
    for option, name in (("ca_file", "ca"), ("cert_file", "certificate"), ("key_file", "privateKey")):
        if options.get(option):
            key = option.replace("_", "-")
            secrets.files[_GIVEN, key] = options[option]
            tls[name] = _ref(key)
    if options.get("insecure_skip_verify"):
        tls["insecureSkipVerify"] = True
    if tls:
        found["tls"] = tls


def _ref(key: str) -> dict[str, str]:
    return {"name": _GIVEN, "key": key}


def _by_option(words: str) -> str:
    """Return a sentence about a field as one about its option."""

    def option(match: re.Match[str]) -> str:
        name = match[1]
        return _OPTIONS.get(name) or "--" + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)

    return re.sub(r"^\.([a-zA-Z]+)(?=$|[ \[.:])", option, words).removeprefix(": ")
