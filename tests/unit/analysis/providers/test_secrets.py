from __future__ import annotations

from analysis.api.connection import BasicAuth
from analysis.api.secret import SecretKeyRef
from analysis.providers.secrets import Secrets

VALUES = {("keys", "api"): "0123456789\n", ("keys", "longer"): "0123456789abcdef", ("keys", "short"): "abc"}


async def _read(name, key):
    return VALUES[name, key]


def _ref(key):
    return SecretKeyRef(name="keys", key=key)


async def test_a_value_comes_without_the_line_break_of_a_file():
    assert await Secrets(_read).value(_ref("api")) == "0123456789"


async def test_messages_show_no_value_that_was_read():
    secrets = Secrets(_read)
    await secrets.value(_ref("api"))
    await secrets.value(_ref("longer"))
    assert secrets.redact("0123456789abcdef, 0123456789!") == "«secret», «secret»!"


async def test_what_is_too_short_to_be_a_secret_stays_readable():
    secrets = Secrets(_read)
    await secrets.value(_ref("short"))
    assert secrets.redact("the abc of metrics") == "the abc of metrics"


async def test_a_login_is_hidden_in_its_encoded_form_too():
    secrets = Secrets(_read)
    header = await secrets.basic(BasicAuth(username=_ref("short"), password=_ref("api")))
    assert header == "Basic YWJjOjAxMjM0NTY3ODk="
    assert secrets.redact(f"bad header {header}") == "bad header Basic «secret»"


async def test_what_was_derived_is_hidden_too():
    secrets = Secrets(_read)
    assert secrets.hide("token-of-an-hour") == "token-of-an-hour"
    assert secrets.redact("token-of-an-hour expired") == "«secret» expired"


async def test_who_refuses_is_told_which_secrets_were_used():
    secrets = Secrets(_read)
    assert not secrets
    await secrets.value(_ref("api"))
    await secrets.value(_ref("longer"))
    await secrets.value(_ref("api"))
    assert str(secrets) == "Secret keys (api, longer)"
