"""TLS, keys, users and cloud ids, on a real Elasticsearch behind a proxy that checks them as Elasticsearch does."""

from __future__ import annotations

import base64
import json
import ssl
import warnings

import pytest
import trustme
from cli_process import pyrlm
from elasticsearch import AsyncElasticsearch
from es_proxy import between
from es_server import index, server  # noqa: F401 - fixtures
from retrieval_corpus import DOCUMENTS

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers import ElasticsearchRetriever

pytestmark = pytest.mark.xdist_group("es")
KEY = base64.b64encode(b"id-of-key:open-sesame-123").decode()
WRONG = base64.b64encode(b"id-of-key:sesame-is-shut-9").decode()
USER, PASSWORD = "reader", "p:ass wörd-77"
GOOD = {f"ApiKey {KEY}", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
WEAK = "ApiKey " + base64.b64encode(b"id-of-key:only-looks").decode()


def denied(status, kind, reason):
    cause = {"type": kind, "reason": reason}
    return status, {"error": {"root_cause": [cause], **cause}, "status": status}


def doorkeeper(message, _):
    """Answers as Elasticsearch's security module does."""
    head = message.partition(b"\r\n\r\n")[0].decode("latin-1")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    given = {name.lower(): value for name, value in fields.items()}.get("authorization")
    if given in GOOD:
        return None
    path = head.split(" ")[1]
    if given is None:
        return denied(401, "security_exception", f"missing authentication credentials for REST request [{path}]")
    if given == WEAK:
        reason = "action [indices:data/read/search] is unauthorized for API key id [id-of-key]"
        return denied(403, "security_exception", reason)
    return denied(401, "security_exception", f"unable to authenticate with provided credentials for [{path}]")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def proxy(server, authority):  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    with between(server, doorkeeper, context) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def everything_said(error):
    said = ""
    while error is not None:
        said += f"{error!r} {error} {error.__notes__ if hasattr(error, '__notes__') else ''}"
        error = error.__cause__ or error.__context__
    return said


@pytest.mark.parametrize("way", ["key", "user", "address", "cloud"])
def test_the_right_credentials_over_tls(proxy, ca_file, index, way):  # noqa: F811
    cloud = base64.b64encode(f"0.0.1:{proxy.port}$127$".encode()).decode()  # host 127 of the domain 0.0.1
    options = {
        "key": {"host": proxy.url, "api_key": KEY},
        "user": {"host": proxy.url, "basic_auth": (USER, PASSWORD)},
        "address": {"host": proxy.url.replace("//", f"//{USER}:p%3Aass%20w%C3%B6rd-77@")},
        "cloud": {"cloud_id": f"my-cluster:{cloud}", "api_key": KEY},
    }[way]
    with ElasticsearchRetriever(**options, ca_certs=ca_file, index=index) as made:
        assert made.index(DOCUMENTS).indexed == len(DOCUMENTS)
        assert made.search("zero round trips", 1)[0].doc_id == "rfc/8446"
        assert made.diagnose().documents == len(DOCUMENTS)
        assert "sesame" not in repr(made)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"api_key": WRONG}, 401, "unable to authenticate with provided credentials"),
        ({"basic_auth": (USER, "sesame-is-shut-9")}, 401, "unable to authenticate with provided credentials"),
        ({}, 401, "missing authentication credentials"),
        ({"api_key": WEAK.removeprefix("ApiKey ")}, 403, "is unauthorized for API key"),
    ],
)
def test_wrong_credentials_are_named_and_not_shown(proxy, ca_file, options, status, words):
    before = len(proxy.requests)
    with (
        ElasticsearchRetriever(proxy.url, ca_certs=ca_file, index="any", **options) as made,
        pytest.raises(RetrieverError, match=words) as caught,
    ):
        made.search("x")
    assert (caught.value.status, caught.value.kind, caught.value.retryable) == (status, "security_exception", False)
    assert len(proxy.requests) == before + 1, "trying again is in vain"
    said = everything_said(caught.value)
    assert ("give api_key or basic_auth" in said) == (status == 401)
    for secret in ("sesame-is-shut", WRONG, WEAK[8:], base64.b64encode(f"{USER}:sesame-is-shut-9".encode()).decode()):
        assert secret not in said


def test_a_certificate_of_an_unknown_authority_is_refused_by_default(proxy, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for options in ({}, {"ca_certs": str(other)}):
        before = len(proxy.requests)
        with (
            ElasticsearchRetriever(proxy.url, api_key=KEY, index="any", **options) as made,
            pytest.raises(RetrieverError, match="certificate verify failed") as caught,
        ):
            made.search("x")
        assert "as ca_certs (on the command line --ca-certs)" in str(caught.value)
        assert KEY not in everything_said(caught.value)
        assert len(proxy.requests) == before, "the key never left this process"


def test_a_certificate_of_another_name_is_refused(server, authority, ca_file):  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("es.example.org").configure_cert(context)
    with between(server, doorkeeper, context) as proxy:
        with (
            ElasticsearchRetriever(proxy.url, api_key=KEY, ca_certs=ca_file) as made,
            pytest.raises(RetrieverError, match="certificate verify failed"),
        ):
            made.search("x")
        assert proxy.requests == []


def test_trust_can_only_be_given_up_by_saying_so_and_warns(proxy, index):  # noqa: F811
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with ElasticsearchRetriever(proxy.url, api_key=KEY, verify_certs=False, index=index) as made:
            assert made.index(DOCUMENTS[:2]).indexed == 2
    assert any("insecure" in str(warning.message) for warning in heard)


def test_options_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"there is no file .*none\.pem"):
        ElasticsearchRetriever("https://localhost", ca_certs=str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        ElasticsearchRetriever("https://localhost", ca_certs=str(tmp_path / "empty.pem"))
    with pytest.raises(ConfigurationError, match="of use with https"):
        ElasticsearchRetriever("localhost", ca_certs=str(tmp_path / "empty.pem"))
    with pytest.raises(ConfigurationError, match="give one of api_key"):
        ElasticsearchRetriever("https://reader:x@localhost", api_key=KEY)
    client = AsyncElasticsearch("https://localhost:9200")
    with pytest.raises(ConfigurationError, match="what it trusts"):
        ElasticsearchRetriever(client=client, ca_certs=str(tmp_path / "empty.pem"))
    with (
        ElasticsearchRetriever(cloud_id="my-cluster:%%%") as made,
        pytest.raises(ConfigurationError, match="Cloud ID is not properly formatted"),
    ):
        made.search("x")


def test_the_command_line(proxy, ca_file, index, tmp_path):  # noqa: F811
    (tmp_path / "kettle.md").write_text("The kettle boils at 96 degrees.\n")
    target = ["--es", proxy.url, "--index", index]
    trusted = [*target, "--ca-certs", ca_file]
    key = {"ELASTICSEARCH_API_KEY": KEY}
    done = pyrlm(tmp_path, "index", "kettle.md", *trusted, **key)
    assert (done.returncode, done.stderr) == (0, "")
    user = {"ELASTICSEARCH_PASSWORD": PASSWORD}
    found = pyrlm(tmp_path, "search", "kettle", *trusted, "--user", USER, "--json", **user)
    assert json.loads(found.stdout)["hits"][0]["preview"].startswith("The kettle")
    environment = {**user, "ELASTICSEARCH_USER": USER, "ELASTICSEARCH_CA_CERTS": ca_file}
    asked = ["ask", "At how many degrees does the kettle boil?", *target, "--model", "extractive:"]
    answered = pyrlm(tmp_path, *asked, **environment)
    assert "96 degrees" in answered.stdout, answered.stderr
    seen = pyrlm(tmp_path, "doctor", *trusted, **key)
    assert f"{index}: 1 documents" in seen.stdout

    for arguments, given, words in [
        (["search", "kettle", *target], key, "on the command line --ca-certs"),
        (["search", "kettle", *trusted], {}, "there were none (status 401)"),
        (["search", "kettle", *trusted], {"ELASTICSEARCH_API_KEY": WRONG}, "does not know the credentials"),
        (["doctor", *target], key, "certificate verify failed"),
        (["search", "kettle", *trusted, "--user", USER], {}, "ELASTICSEARCH_PASSWORD"),
        (["search", "kettle", *trusted, "--user", f"{USER}:{PASSWORD}"], {}, "seen by everyone on the machine"),
        (["search", "kettle", *target, "--ca-certs", "none.pem"], key, "there is no file none.pem"),
    ]:
        refused = pyrlm(tmp_path, *arguments, **given)
        said = " ".join((refused.stdout + refused.stderr).replace("│", " ").split())
        assert refused.returncode in {1, 2}, said
        assert words in said
        assert WRONG not in said
        assert PASSWORD not in said or PASSWORD in " ".join(arguments)
    assert "--api-key" not in pyrlm(tmp_path, "search", "--help").stdout
