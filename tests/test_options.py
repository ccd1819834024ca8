"""Options that have no other test of their own: each changes what is sent, run or refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import threading
from typing import Annotated

import pytest
from openai_server import LoopbackServer
from pydantic import BaseModel, Field, StringConstraints
from repl_thread import ThreadRepl

from pyrlm import RLM, DiskCache, ExecutionProfile, Policy, SmartRouter
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers import Document, ElasticsearchRetriever, EmbeddedRetriever

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\n" * 40
SUB = "You are a sub-LLM"


def python(code):
    return f"```python\n{code}\n```"


def run(script, query="q", context=TEXT, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context), adapter


# The loop


@pytest.mark.parametrize(("backend", "kind"), [("exec", "exec"), ("python", "exec"), ("monty", "monty")])
def test_both_backends_by_their_names(backend, kind):
    result, _ = run([python("FINAL(len(P))")], repl_backend=backend)
    assert result.value == len(TEXT)
    assert result.trace.of_kind("repl_exec")[0].model in {None, kind}
    with pytest.raises(ConfigurationError, match="monty"):
        run([python("1")], repl_backend="deno")


def test_a_repl_of_ones_own_is_taken():
    made = []

    def factory():
        made.append(ThreadRepl())
        return made[-1]

    result, _ = run([python("FINAL(len(P))")], repl_backend=factory)
    assert result.value == len(TEXT)
    assert len(made) == 1
    assert made[0].dead, "it was closed"


STYLES = [
    "r = llm_query('q')",
    "r = await llm_query('q')",
    "r = await llm_query('q', {'type': 'string'})",
    "import asyncio\nr = (await asyncio.gather(llm_query('q'), llm_query('p')))[0]",
    "import asyncio\nasync def main():\n    return await asyncio.gather(*[llm_query(w) for w in 'abc'])\nr = asyncio.run(main())[2]",
    "async def f(w):\n    return await llm_query(w)\nr = await f('q')",
    "r = llm_query_batched(['q', 'p'])[1]",
    "r = llm_query_batch(['q', 'p'], parallel=True)[1]",
    "r = llm_query(CONTEXT[:20])",
    "r = rlm_query('q', context=context[:40])",
    "r = await rlm_query('q', P[:40])",
    "r = rlm_query_batched(['q', 'p'], [P[:40], P[:30]])[0]",
    "r = rlm_query_batch([('q', P[:40])])[0]",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    r = list(pool.map(llm_query, ['q', 'p']))[1]",
]


@pytest.mark.parametrize("backend", ["exec", "monty"])
@pytest.mark.parametrize("code", STYLES)
def test_code_in_the_style_of_others_runs(backend, code):
    rules = [("You are a sub-agent", "FINAL: yes"), (SUB, "yes")]
    result, _ = run([f"```repl\n{code}\nSHOW_VARS()\nFINAL_VAR('r')\n```"], rules=rules, repl_backend=backend)
    assert result.value == "yes", result.trace.of_kind("repl_exec")[0].error
    assert result.steps == 1


def test_temperatures_and_caps_reach_the_model():
    def model(body):
        if SUB in body["messages"][0]["content"]:
            return "yes"
        return python("a = llm_query('q')") if len(body["messages"]) == 2 else "FINAL: x"

    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        RLM(adapter, temperature=0.25, subcall_temperature=0.75, max_tokens=300, subcall_max_tokens=77).run("q", TEXT)
        RLM(adapter).run("q", TEXT)
    said = [(body.get("temperature"), body["max_tokens"]) for body in server.bodies]
    assert said[:3] == [(0.25, 300), (0.75, 77), (0.25, 300)]
    assert [temperature for temperature, _ in said[3:]] == [None] * 3


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_subcalls_may_be_turned_off(parallel):
    def model(body):
        if SUB in body["messages"][0]["content"]:
            return "yes"
        code = "a = ask_chunks('q', ['a', 'b', 'c', 'd'])\nb = llm_query_batch(['e', 'f'])"
        return python(code) if len(body["messages"]) == 2 else "FINAL: x"

    with LoopbackServer(model, delay=0.05) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        RLM(adapter, parallel_subcalls=parallel).run("q", TEXT)
    assert server.count == 8
    assert server.max_in_flight == (4 if parallel else 1)


def test_a_cache_is_used_where_it_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = python("a = [llm_query('q'), llm_query('q')]\nFINAL(a)")
    with DiskCache(tmp_path / "kept") as cache:
        for options, asked in [({}, 2), ({}, 2), ({"cache": cache}, 1), ({"cache": cache}, 0)]:
            result, adapter = run([code], rules=[(SUB, "yes")], **options)
            assert result.value == ["yes", "yes"]
            assert sum(SUB in call.text for call in adapter.calls) == asked
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_condition_on_the_answer_is_a_schema():
    class Report(BaseModel):
        summary: str = Field(min_length=20)
        author: Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]")]

    script = [
        python("summary = 'short'\nFINAL({'summary': summary, 'author': 'TODO'})"),
        python("FINAL({'summary': summary * 5, 'author': 'Ann'})"),
    ]
    result, adapter = run(script, output_schema=Report)
    told = adapter.calls[1].messages[-1]["content"]
    assert "summary: String should have at least 20 characters" in told
    assert "author: String should match pattern" in told
    assert result.value == Report(summary="short" * 5, author="Ann")


def test_the_steps_of_sub_agents_are_limited():
    def model(messages):
        if "You are a sub-agent" in messages[1]["content"]:
            return python(f"print({len(messages)})")
        return python("print(rlm_query('q', P[:50]))") if len(messages) == 2 else "FINAL: x"

    for steps in (2, 5):
        result = RLM(FakeAdapter(rules=[("", model)]), subagent_max_steps=steps).run("q", TEXT)
        assert result.output == "x"
        assert len(result.trace.of_kind("sub_root_call")) == steps
        assert "max_steps" in result.trace.of_kind("repl_exec")[-1].stdout


@pytest.mark.parametrize("at_once", [3, 24])
def test_as_many_sub_agents_run_at_once_as_the_option_says(at_once):
    reached = threading.Event()

    async def model(body):
        if "You are a sub-agent" in body["messages"][1]["content"]:
            for _ in range(2_000):  # nobody is answered before so many ask
                if server.in_flight >= at_once:
                    reached.set()
                if reached.is_set():
                    break
                await asyncio.sleep(0.01)
            return python("FINAL(len(P) > 0)")
        code = "r = rlm_query_batch('q', ctx.chunk_documents(1))\nprint(sum(r))"
        return python(code) if len(body["messages"]) == 2 else "FINAL: x"

    policy = Policy(max_total_tokens=None)
    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        options = {"max_concurrent_subagents": at_once, "max_concurrent_subcalls": 24, "policy": policy}
        result = RLM(adapter, **options).run("q", [f"document {n}" for n in range(24)])
    assert result.trace.of_kind("repl_exec")[-1].stdout == "24\n"
    assert reached.is_set()
    assert server.max_in_flight == at_once


def test_two_runtimes_of_one_process_share_nothing():
    async def both():
        models = [FakeAdapter([python(f"x = {n}"), python("print(x)"), f"FINAL: {n}"]) for n in range(8)]
        results = await asyncio.gather(
            *(RLM(model, policy=Policy(max_steps=3 + n)).arun("q", f"text {n}") for n, model in enumerate(models))
        )
        return models, results

    models, results = asyncio.run(both())
    for number, (model, result) in enumerate(zip(models, results, strict=True)):
        assert result.output == str(number)
        assert model.calls[2].messages[-1]["content"].startswith(f"Output:\n{number}\n")
        assert f"text {number}" in model.calls[0].text


NO_POLICY = [{"max_steps": 3}, {}, 5, "strict", Policy]


@pytest.mark.parametrize("given", NO_POLICY)
@pytest.mark.parametrize("take", ["RLM", "SmartRouter", "session", "ask", "run_many"])
def test_limits_that_are_no_policy_are_refused_by_name(take, given):
    adapter = FakeAdapter([])
    made = {
        "RLM": lambda: RLM(adapter, policy=given),
        "SmartRouter": lambda: SmartRouter(adapter, policy=given),
        "session": lambda: RLM(adapter).session(TEXT, policy=given),
        "ask": lambda: RLM(adapter).session(TEXT).ask("q", policy=given),
        "run_many": lambda: list(SmartRouter(adapter).run_many(["q"], TEXT, total_policy=given)),
    }
    with pytest.raises(ConfigurationError, match=r"policy.*expected a Policy, such as Policy\(") as caught:
        made[take]()
    assert repr(given)[:100] in str(caught.value)
    assert adapter.calls == []


@pytest.mark.parametrize("made", [RLM, SmartRouter])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        *[("cache", given) for given in ({}, "folder", 5, DiskCache)],
        *[("max_tokens", given) for given in ("many", None, [1], True, 0)],
        *[("repl_timeout", given) for given in ("long", {})],
        *[("max_history_tokens", given) for given in ("many", {})],
        *[("subcall_models", given) for given in ("m", ["m"], 7)],
        *[("repl_backend", given) for given in ({}, ["exec"], 5)],
        *[("event_listener", given) for given in ("print", 5, {})],
        *[("trace_path", given) for given in (5, {}, ["p"])],
        *[("on_limit", given) for given in ({}, ["raise"], 5)],
    ],
)
def test_options_of_the_wrong_kind_are_refused_by_name(made, name, given):
    with pytest.raises(ConfigurationError, match=f"{name}=.*expected"):
        made(FakeAdapter([]), **{name: given})


@pytest.mark.parametrize("given", [{"direct_tokens": 9}, {}, 5, Policy()])
def test_a_configuration_of_the_wrong_kind_is_refused_by_name(given):
    with pytest.raises(ConfigurationError, match=r"config=.*expected a RouterConfig, such as RouterConfig\("):
        SmartRouter(FakeAdapter([]), config=given)


# The router


def test_a_router_has_a_profile_of_its_own():
    adapter = FakeAdapter([python("found = ctx.find('24')"), "FINAL: 24 months"] * 4)
    router = SmartRouter(adapter, profile="deterministic_first")
    assert router.run("What lasts 24 months?", TEXT * 20).profile is ExecutionProfile.DETERMINISTIC_FIRST
    assert router.run("What?", TEXT * 20, profile=ExecutionProfile.HYBRID).profile is ExecutionProfile.HYBRID


def test_a_route_can_be_forced():
    adapter = FakeAdapter([python("print(P[:29])"), "FINAL: 24 months"])
    result = SmartRouter(adapter).run("How long?", "The warranty lasts 24 months.", route="rlm")
    assert (result.method, result.output) == ("rlm", "24 months")


def test_options_of_the_loop_are_options_of_the_router():
    adapter = FakeAdapter([python("print(P[:29], 'x' * 5000)"), "FINAL: 24 months"])
    router = SmartRouter(adapter, repl_backend="monty", max_output_chars=500, instruction="Be brief.")
    assert router.run("How long?", TEXT, route="rlm").output == "24 months"
    assert len(adapter.calls[1].messages[-1]["content"]) < 700
    assert "Be brief." in adapter.calls[0].text


# Ways out of the process


def test_headers_of_a_gateway_are_sent():
    with LoopbackServer(["FINAL: x"]) as server:
        headers = {"x-portkey-provider": "openai"}
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key", default_headers=headers)
        RLM(adapter).run("q", TEXT)
    assert server.requests[0].headers["x-portkey-provider"] == "openai"


def test_an_embedder_by_its_name():
    with ElasticsearchRetriever("http://127.0.0.1:9", embedding_model="text-embedding-3-large") as retriever:
        assert retriever._embedder.name == "openai:text-embedding-3-large"
    with ElasticsearchRetriever("http://127.0.0.1:9") as retriever:
        assert retriever._embedder is None


def test_the_size_of_previews(tmp_path):
    text = "Nothing of interest stands here. " * 40 + "The warranty lasts 24 months. " + "Nor does it here. " * 40
    sizes = {}
    for size in (80, 400):
        with EmbeddedRetriever(tmp_path / str(size), preview_chars=size) as retriever:
            retriever.index([Document("a", text)])
            preview = retriever.search("warranty")[0].preview
        assert "warranty" in preview
        sizes[size] = len(preview)
    assert sizes[80] <= 80 < sizes[400] <= 400


def test_a_cloud_is_named_by_its_id():
    import base64

    cloud_id = "mine:" + base64.b64encode(b"127.0.0.1:9$abc$def").decode()
    with (
        ElasticsearchRetriever(cloud_id=cloud_id, api_key="a-key-of-tests", retry_seconds=0) as retriever,
        pytest.raises(RetrieverError) as caught,
    ):
        retriever.search("q")
    assert "a-key-of-tests" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        ElasticsearchRetriever("http://127.0.0.1:9200", cloud_id=cloud_id)


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A TLS server whose certificate only its own file vouches for, that keeps what it is sent."""
    import socket

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    listener, requests = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as ended:
                    requests.append(ended.recv(65_536).decode())
                    body = json.dumps({"error": "no index here"})
                    head = f"HTTP/1.1 404 X\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: {len(body)}\r\n"
                    ended.sendall(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n{body}".encode())
            except OSError:
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}", str(folder / "cert.pem"), requests
    listener.close()


@pytest.mark.filterwarnings("ignore:Connecting to")
def test_a_certificate_that_no_one_vouches_for_is_refused(secure):
    url, certificate, requests = secure
    with (
        ElasticsearchRetriever(url, api_key="a-key-of-tests", index="i", retry_seconds=0) as retriever,
        pytest.raises(RetrieverError, match=r"(?i)certificate"),
    ):
        retriever.search("q")
    assert requests == [], "nothing was sent, least of all the key"
    for trusting in ({"ca_certs": certificate}, {"verify_certs": False}):
        requests.clear()
        made = ElasticsearchRetriever(url, api_key="a-key-of-tests", index="i", retry_seconds=0, **trusting)
        with made, pytest.raises(RetrieverError):
            made.search("q")
        assert any("ApiKey a-key-of-tests" in request for request in requests)


def test_a_model_behind_such_a_certificate_gets_no_key(secure):
    url, _, requests = secure
    requests.clear()
    adapter = OpenAICompatAdapter("m", base_url=f"{url}/v1", api_key="a-key-of-tests", retry_seconds=0)
    result = RLM(adapter, on_limit="return").run("q", TEXT)
    assert result.status == "error"
    assert requests == []
