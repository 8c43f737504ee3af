"""Options, a source file and secrets become what a Rollout would say; what is wrong is said by the option's name."""

from __future__ import annotations

import pytest

from analysis.providers.base import ConfigurationError
from coalmine.recording.settings import GivenSecrets, SettingsError, block_of, settings_of

BLOCK = {"address": "http://prometheus:9090", "preset": "Http", "canary": 'v="2"', "baseline": 'v="1"'}


def made(block=BLOCK, env=(), secrets=None, **options):
    return settings_of(block, options, secrets or GivenSecrets(), dict(env))


def test_options_win_over_the_file_and_what_neither_says_has_its_default():
    found = made(prometheus="http://localhost:9090", scrape_interval="5s", buckets=(10.0, 100.0), pod_label=None)
    assert found.address == "http://localhost:9090"
    assert found.preset == "Http"
    assert found.scrape_interval == 5
    assert found.buckets == (10, 100)
    assert found.pod_label == "pod"
    assert made(replica_labels=("replica",)).replica_labels == ("replica",)
    assert made(replica_labels=()).replica_labels == ("prometheus_replica", "__replica__")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("address: http://a", "http://a"),
        ("prometheus: {address: http://b}", "http://b"),
        ("source: {prometheus: {address: http://c}}", "http://c"),
        ("kind: Rollout\nspec: {analysis: {source: {prometheus: {address: http://d}}}}", "http://d"),
        (
            "kind: Service\n---\nkind: Rollout\nspec: {analysis: {source: {prometheus: {address: http://e}}}}",
            "http://e",
        ),
    ],
)
def test_the_block_is_found_however_much_of_a_rollout_is_around_it(tmp_path, text, address):
    file = tmp_path / "source.yaml"
    file.write_text(text)
    assert block_of(file)["address"] == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Rollout\nspec: {workloadRef: {name: payment}}", "has no spec.analysis.source.prometheus"),
        ("", "write one Rollout"),
        ("- 1", "write one Rollout"),
        ("kind: A\n---\nkind: B", "write one Rollout"),
        ("prometheus: 3", "prometheus holds no settings"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_without_a_block_is_refused(tmp_path, text, words):
    file = tmp_path / "source.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        block_of(file)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scrape_interval": "soon"}, "--scrape-interval: 'soon' is not a duration"),
        ({"scrape_interval": "1ms"}, "--scrape-interval is"),
        ({"requests": "no name"}, "--requests is 'no name'"),
        ({"replica_labels": ("a b",)}, r"--replica-label\[0\] is"),
        ({"buckets": (5.0, 1.0)}, "buckets must be positive and ascending"),
        ({"latency_unit": "s"}, "latencyUnit says how to read latency"),
        ({"token_file": "t", "user": "me"}, "--token-file and --user are two logins"),
        ({"password_file": "p"}, "--password-file belongs to --user"),
        ({"user": "me"}, "--password-file FILE, or COALMINE_PROMETHEUS_PASSWORD"),
    ],
)
def test_what_is_wrong_is_said_by_the_option(options, words):
    with pytest.raises(SettingsError, match=words):
        made(**options)


def test_nothing_to_count_is_said():
    with pytest.raises(SettingsError, match=r"^write preset, or requests with errors"):
        made({"address": "http://a"})


async def test_a_token_comes_from_a_file_or_the_environment_and_replaces_the_files_login(tmp_path):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    secrets = GivenSecrets()
    login = {"basicAuth": {"username": {"name": "s", "key": "u"}, "password": {"name": "s", "key": "p"}}}
    found = made({**BLOCK, **login}, token_file=file, secrets=secrets)
    assert found.basic_auth is None
    reference = found.bearer_token
    assert await secrets.read(reference.name, reference.key) == "from-file\n"

    env = {"COALMINE_PROMETHEUS_TOKEN": "from-env"}
    reference = made(env=env, secrets=secrets).bearer_token
    assert await secrets.read(reference.name, reference.key) == "from-env"
    assert made({**BLOCK, **login}, env=env).bearer_token is None


async def test_user_and_password(tmp_path):
    secrets = GivenSecrets()
    env = {"COALMINE_PROMETHEUS_PASSWORD": "pass"}
    login = made({**BLOCK, "bearerToken": {"name": "s", "key": "t"}}, user="me", env=env, secrets=secrets).basic_auth
    assert await secrets.read(login.username.name, login.username.key) == "me"
    assert await secrets.read(login.password.name, login.password.key) == "pass"


async def test_certificates_come_from_files(tmp_path):
    secrets = GivenSecrets()
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(f"-----{name}-----")
    found = made(ca_file=tmp_path / "ca", cert_file=tmp_path / "cert", key_file=tmp_path / "key", secrets=secrets).tls
    assert await secrets.read(found.ca.name, found.ca.key) == "-----ca-----"
    assert await secrets.read(found.private_key.name, found.private_key.key) == "-----key-----"
    assert made(insecure_skip_verify=True).tls.insecure_skip_verify


async def test_a_secret_that_was_not_given_says_how_to_give_it(tmp_path):
    secrets = GivenSecrets(files={("prometheus", "token"): tmp_path / "gone"})
    with pytest.raises(ConfigurationError, match="--secret other/key=FILE"):
        await secrets.read("other", "key")
    with pytest.raises(ConfigurationError, match="gone"):
        await secrets.read("prometheus", "token")
