"""Which values of headers and environment variables are secrets."""

from __future__ import annotations

import sys

import pytest

from pyrlm import RLM
from pyrlm.adapters import CommandAdapter
from pyrlm.redact import redact
from pyrlm.secret_names import is_secret, register_named


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-proj-abcdefgh"),
        ("apiKey", "supersecret"),
        ("x-api-key", "letters-only"),
        ("APIKEY", "abcdefgh"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("GITHUB_TOKEN", "ghp_abcdefgh"),
        ("authToken", "abcdefgh"),
        ("HF_TOKENS", "hf_1234567890"),
        ("Authorization", "abcdefgh"),
        ("Proxy-Authorization", "dXNlcjpwYXNz"),
        ("Set-Cookie", "session=abc"),
        ("PGPASSWORD", "hunter"),
        ("DB_PASSWORD", "12345678"),
        ("SHOP_KEY", "shop-secret-43"),
        ("X_AUTH", "a1b2c3d4e5"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "somebody"),
    ],
)
def test_real_keys_are_secrets(name, value):
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_THINKING_TOKENS", "100000"),
        ("MAX_TOKENS", "128k"),
        ("API_KEY", "100000"),
        ("KEYBOARD", "us-international-1"),
        ("MONKEY", "banana-12345678"),
        ("TOKENIZERS_PARALLELISM", "falsefalse1"),
        ("SORT_KEY", "created_at"),
        ("PRIMARY_KEY", "identifier"),
        ("TOKEN_LIMIT", "one-million-2"),
        ("SSL_KEY_FILE", "/etc/ssl/private/key1.pem"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-1234/agent.1"),
        ("AUTH_TOKEN", "disabled"),
        ("AUTH", "basic"),
        ("DB_PASSWORD", "1234"),
        ("LANG", "en_US.UTF-8-long-1"),
        ("", "abcdefgh12"),
    ],
)
def test_settings_are_none(name, value):
    assert not is_secret(name, value)


def test_the_key_after_the_scheme_is_registered_too():
    register_named({"Authorization": "Bearer sk-after-the-scheme-1"})
    assert redact("it was sk-after-the-scheme-1") == "it was [secret]"


def test_a_number_of_a_setting_is_shown_in_the_trace_and_in_prints():
    reply = "```python\nx = int('104729')\nprint(x)\nFINAL(x)\n```"
    command = CommandAdapter([sys.executable, "-c", f"print({reply!r})"], env={"MAX_THINKING_TOKENS": "104729"})
    result = RLM(command).run("q", "t")
    step = result.trace.of_kind("repl_exec")[0]
    assert step.stdout.strip() == "104729"
    assert "104729" in step.code


def test_a_value_that_is_no_text_is_left_to_whoever_takes_it():
    register_named({"API_KEY": 5})
