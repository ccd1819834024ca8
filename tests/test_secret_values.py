"""What an application hands to a program is secret unless it is plainly harmless; documents are not mangled."""

import base64
import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm import redact as redaction
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.redact import redact, register_secret
from pyrlm.secret_values import register_address, register_arguments, register_values


@pytest.fixture(autouse=True)
def _none_registered(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(redaction, "_longest_first", [()])


SECRET = [
    ("DATABASE_URL", "postgres://u:pwSECRET12345@h/db", "pwSECRET12345"),
    ("DATABASE_URL", "postgres://u:pw%21SECRET12345@h/db", "pw!SECRET12345"),
    ("GITHUB_PAT", "ghp_" + "a" * 36, "ghp_" + "a" * 36),
    ("PGPASS", "swordfish", "swordfish"),
    ("DB_PASS", "hunter22", "hunter22"),
    ("AWS_SECRET_ACCESS_KEY", "/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("SHOP_KEY", "shop-secret-43", "shop-secret-43"),
    ("X-Custom", "4f9c2b7a-1111-4222-8333-abcdefabcdef", "4f9c2b7a-1111-4222-8333-abcdefabcdef"),
    ("CONNECTION", "host=localhost password=opensesame dbname=shop", "opensesame"),
    ("CONNECTION", "Server=db;User Id=sa;Password=Yukon900;", "Yukon900"),
    ("HEADERS", '{"Authorization": "Bearer ntn_abc123", "Notion-Version": "2022-06-28"}', "ntn_abc123"),
    (
        "ACCOUNT",
        json.dumps({"a": [{"private_key": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n"}]}),
        "MIIEvQIBADANBgkqhkiG9w0BAQ",
    ),
    ("HOOK", "https://hooks.example.com/services/T00000000/aXbXcXdXeX12345678901234", "aXbXcXdXeX12345678901234"),
    ("ENDPOINT", "https://example.com/mcp?api_key=abc-12345&page=2", "abc-12345"),
    ("Authorization", "Basic " + base64.b64encode(b"user:passw0rd12").decode(), "passw0rd12"),
    ("Cookie", "session=abcdef123456; theme=dark", "session=abcdef123456; theme=dark"),
    ("PEM", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ"),
    ("ODD", "x8Kq2!zPwT", "x8Kq2!zPwT"),
]


@pytest.mark.parametrize(("name", "value", "secret"), SECRET)
def test_a_secret_is_known_by_its_name_or_its_look(name, value, secret):
    register_values({name: value})
    assert secret not in redact(f"it wrote: {secret}.")
    for said in (value, repr({name: value}), json.dumps({name: value})):
        assert secret not in redact(said)


HARMLESS = {
    "MODE": "production",
    "PASSWORD": "password",
    "POSTGRES_PASSWORD": "postgres",
    "LANG": "en_US.UTF-8",
    "PATH": "/usr/local/bin:/home/Me/.cargo/bin",
    "SSL_KEY": "/etc/ssl/private/key.pem",
    "TOKENIZERS_PARALLELISM": "false",
    "TOKENIZER": "bert-base-uncased",
    "TOKEN_LIMIT": "100000",
    "MAX_TOKENS": "128000",
    "MODEL": "claude-3-5-sonnet-20241022",
    "REGION": "us-east-1",
    "SORT_KEY": "created_at",
    "KEYWORDS": "climate change and energy",
    "AUTHOR": "Johannes Gutenberg",
    "AUTH_TYPE": "bearer",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "API": "https://api.example.com/v1",
    "DATABASE_URL": "postgres://localhost:5432/shop",
    "EMAIL": "ann@example.com",
    "HOST": "db01.internal.example.com",
    "VERSION": "1.2.3-beta.4",
    "NODE_OPTIONS": "--max-old-space-size=4096",
    "SINCE": "2026-11-21",
    "TITLE": "Zürich am See",
    "COLUMN": "customerOrderId",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_may_stand_in_a_document_is_left_alone(name):
    text = f"The value {HARMLESS[name]} stands here."
    register_values({name: HARMLESS[name]})
    register_arguments([HARMLESS[name], f"--{name}", HARMLESS[name], f"{name}={HARMLESS[name]}"])
    assert redact(text) == text


def test_json_that_was_handed_over_does_not_break_other_json():
    register_values({"HEADERS": '{"a":"b1c2d3e4f5"}', "LIST": '["x1y2z3w4v5u6", 1]'})
    text = json.dumps({"headers": {"a": "b1c2d3e4f5"}, "list": ["x1y2z3w4v5u6", 1]}, separators=(",", ":"))
    assert json.loads(redact(text)) == {"headers": {"a": "[secret]"}, "list": ["[secret]", 1]}


def test_words_are_left_alone_where_a_password_is_one_in_an_address():
    register_address("postgres://postgres:postgres@localhost/shop")
    assert redact("postgres is a database on localhost") == "postgres is a database on localhost"
    assert "postgres:postgres" not in redact("dial postgres://postgres:postgres@localhost/shop")


@pytest.mark.parametrize(
    ("arguments", "secret"),
    [
        (["--api-key", "X1234567"], "X1234567"),
        (["--api-key=abcdefgh1"], "abcdefgh1"),
        (["run", "-e", "GITHUB_TOKEN=abc12345"], "abc12345"),
        (["--header", "Authorization: Bearer tok123456"], "tok123456"),
        (["server", "postgresql://u:secretpw1@h/db"], "secretpw1"),
        (["--password", "swordfish"], "swordfish"),
        (["login", "sk-proj-abcdefghijklmnop"], "sk-proj-abcdefghijklmnop"),
        (["https://mcp.example.com/s/MjQ5ZDk4ZTAtY2Y1OC00/mcp"], "MjQ5ZDk4ZTAtY2Y1OC00"),
    ],
)
def test_secrets_among_arguments(arguments, secret):
    register_arguments(arguments)
    assert secret not in redact(f"it wrote: {secret}.")
    plain = "Bearer of the Authorization, npm-check-updates --port 8080 at https://mcp.example.com/mcp"
    assert redact(plain) == plain


def test_plain_arguments_are_left_alone():
    code = "import os,sys\nsys.stderr.write(os.environ['SHOP_KEY'])\nsys.exit(1)"
    text = f"npx -y npm-check-updates @modelcontextprotocol/server-files /tmp/x/AbC123 --token --port 8080 {code}"
    register_arguments(["-y", "npm-check-updates", "@modelcontextprotocol/server-files", "/tmp/x/AbC123"])
    register_arguments(["--token", "--port", "8080", "-c", code])
    assert redact(text) == text


word = st.text(string.ascii_lowercase, min_size=1, max_size=12)


@given(st.lists(word, min_size=1, max_size=4), st.sampled_from(" _-./"), st.sampled_from(["NAME", "MODE", "X-Project"]))
def test_words_are_never_blanked_under_a_plain_name(words, between, name):
    register_values({name: between.join(words)})
    text = " ".join([*words, between.join(words)])
    assert redact(text) == text


@given(st.from_regex(re.compile(r"[A-Za-z0-9]{24,60}", re.ASCII), fullmatch=True), st.sampled_from(["NAME", "X-Key"]))
def test_what_is_long_and_at_random_is_blanked_under_any_name(value, name):
    mixed = f"aB3{value}"
    register_values({name: mixed})
    assert mixed not in redact(f"x {mixed} y {mixed!r}")


@given(st.lists(st.text(min_size=6, max_size=12), min_size=1, max_size=6), st.randoms())
def test_nothing_is_left_of_a_secret_that_holds_another(secrets, random):
    longest = "".join(secrets)
    order = [*secrets, longest]
    random.shuffle(order)
    for secret in order:
        register_secret(secret)
    assert redact(longest) == "[secret]"


@pytest.mark.parametrize("key", ["ollama", "lm-studio", "not-needed", "no-key-required", "sk-no-key-required"])
def test_the_keys_that_guides_to_local_servers_give_are_words_of_any_text(key):
    OpenAICompatAdapter("m", base_url="http://127.0.0.1:9/v1", api_key=key)
    assert redact(f"How is {key} set up?") == f"How is {key} set up?"
