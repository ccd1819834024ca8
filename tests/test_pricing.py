"""Prices and windows: the caller's numbers first, then the bundled table, never the network and never a guess in silence."""

import logging
import subprocess
import sys
import textwrap
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.adapters.base import Usage
from pyrlm.errors import ConfigurationError
from pyrlm.price_table import is_local
from pyrlm.pricing import UNKNOWN_WINDOW, Price, PriceTier, Window, price_for, table_info, window_for

OPENAI = "https://api.openai.com/v1"
TIERED = Price(
    input_usd_per_mtok=3.0,
    output_usd_per_mtok=15.0,
    cached_input_usd_per_mtok=0.3,
    cache_write_usd_per_mtok=3.75,
    tiers=(
        PriceTier(above_tokens=200_000, input_usd_per_mtok=6.0, output_usd_per_mtok=22.5, cache_write_usd_per_mtok=7.5),
    ),
)


def test_cost_by_hand():
    price = Price(input_usd_per_mtok=2.5, output_usd_per_mtok=10.0, cached_input_usd_per_mtok=1.25)
    # 600 fresh at 2.5, 400 cached at 1.25, 100 out at 10: 1,500 + 500 + 1,000 millionths.
    assert price.cost(Usage(input_tokens=1_000, output_tokens=100, cached_input_tokens=400)) == pytest.approx(0.003)
    plain = Price(input_usd_per_mtok=2.5, output_usd_per_mtok=10.0)
    assert plain.cost(Usage(input_tokens=1_000, output_tokens=100, cached_input_tokens=400)) == pytest.approx(0.0035)
    assert price.cost(Usage(input_tokens=100, cached_input_tokens=500)) == pytest.approx(0.000125)


def test_a_long_prompt_costs_its_tier_for_all_of_it():
    assert TIERED.cost(Usage(input_tokens=200_000)) == pytest.approx(0.6)
    assert TIERED.cost(Usage(input_tokens=200_001, output_tokens=1_000)) == pytest.approx(1.200006 + 0.0225)


@given(
    prompt=st.integers(0, 500_000),
    reply=st.integers(0, 50_000),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_no_call_costs_more_than_its_upper_cost(prompt, reply, shares):
    inside = int(prompt * shares[0])
    usage = Usage(
        input_tokens=inside, output_tokens=int(reply * shares[1]), cached_input_tokens=int(inside * shares[2])
    )
    assert TIERED.cost(usage) <= TIERED.upper_cost(prompt, reply) + 1e-12


def test_the_upper_cost_takes_the_prompt_for_written_to_the_cache():
    assert TIERED.upper_cost(100_000, 0) == pytest.approx(0.375)


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan"), "2.5", None, True])
def test_a_price_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="input_usd_per_mtok="):
        Price(input_usd_per_mtok=wrong, output_usd_per_mtok=1.0)


@pytest.mark.parametrize(
    ("model", "endpoint"),
    [
        ("gpt-4o-mini", None),
        ("gpt-4o-mini", OPENAI),
        ("GPT-4o-mini", OPENAI),
        ("openai/gpt-4o-mini", "https://openrouter.ai/api/v1"),
        ("gpt-4o-mini-2024-07-18", OPENAI),
    ],
)
def test_a_listed_model_has_its_price_with_source_and_date(model, endpoint):
    price = price_for(model, endpoint=endpoint)
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (0.15, 0.6)
    assert "genai-prices" in price.source
    assert "gpt-4o-mini" in price.source
    assert date.fromisoformat(price.date).year >= 2026


def test_the_provider_that_serves_the_request_sets_the_price():
    at = {
        host: price_for("meta-llama/Llama-3.1-8B-Instruct", endpoint=f"https://router.huggingface.co/{host}/v1")
        for host in ("nebius", "ovhcloud")
    }
    assert "huggingface_nebius" in at["nebius"].source
    assert "huggingface_ovhcloud" in at["ovhcloud"].source
    assert at["nebius"].input_usd_per_mtok != at["ovhcloud"].input_usd_per_mtok
    assert price_for("gpt-4o", endpoint="https://x.openai.azure.com/").source.endswith("azure gpt-4o")
    assert "openrouter" in price_for("openai/gpt-4o", provider="openrouter").source


def test_a_gateway_that_the_table_does_not_know_gets_the_list_price_and_says_so():
    assert "list price" in price_for("gpt-4o", endpoint="https://llm.example.com/v1").source


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:11434/v1",
        "http://127.0.0.1:8000",
        "http://[::1]:8000/v1",
        "http://192.168.1.20:1234/v1",
        "http://10.0.0.7/v1",
        "http://gpu-box:8000/v1",
        "http://gpu.local/v1",
        "localhost:8080",
    ],
)
def test_a_local_endpoint_has_no_price_and_no_window_but_the_callers(endpoint):
    assert is_local(endpoint)
    assert price_for("gpt-4o", endpoint=endpoint) is None
    assert window_for("gpt-4o", endpoint=endpoint).source == "unknown"
    free = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0)
    assert price_for("gpt-4o", endpoint=endpoint, overrides={"gpt-4o": free}) is free
    assert window_for("gpt-4o", endpoint=endpoint, context_window=32_768).total_tokens == 32_768


@pytest.mark.parametrize(
    "endpoint", [OPENAI, "https://8.8.8.8/v1", "https://openrouter.ai/api/v1", "https://x.openai.azure.com"]
)
def test_a_public_endpoint_is_not_local(endpoint):
    assert not is_local(endpoint)


def test_an_unknown_model_has_no_price_and_a_small_window_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        first, again = window_for("never-heard-of-7b"), window_for("never-heard-of-7b")
    assert price_for("never-heard-of-7b") is None
    assert price_for(None) is None
    assert first == again == Window(total_tokens=UNKNOWN_WINDOW, source="unknown")
    assert UNKNOWN_WINDOW < 128_000
    assert len(caplog.records) == 1
    assert "context_window=" in caplog.text


def test_prices_of_other_providers_are_no_price_of_an_unnamed_one():
    # Many providers serve this model at prices that differ by a factor of ten; none of them was named.
    assert price_for("llama-3.1-8b-instruct") is None


def test_the_callers_numbers_come_first():
    own = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    assert price_for("gpt-4o", overrides={"gpt-4o": own}) is own
    assert price_for("gpt-4o", overrides={"other": own}) != own
    assert window_for("gpt-4o", context_window=9_000) == Window(total_tokens=9_000, source="caller")
    exact = Window(total_tokens=9_000, input_limit=7_000)
    assert window_for("gpt-4o", context_window=1, overrides={"gpt-4o": exact}) is exact
    assert window_for("gpt-4o", overrides={"gpt-4o": 5_000}).input_limit == 5_000


def test_the_input_limit_is_what_the_reply_leaves():
    window = window_for("gpt-5", endpoint=OPENAI)
    assert (window.total_tokens, window.input_limit, window.output_limit) == (400_000, 272_000, 128_000)
    assert window_for("gpt-5-mini-2025-08-07").input_limit == 272_000
    assert "less the reply" in window.source


def test_where_entries_differ_the_smallest_counts_and_is_named():
    window = window_for("qwen3-32b")
    assert window.total_tokens == 32_768
    assert "smallest of" in window.source
    assert "131,072" in window.source


def test_room_beside_the_reply():
    assert Window(total_tokens=8_000).room(1_000) == 7_000
    assert Window(total_tokens=8_000).room(9_000) == 0
    assert Window(total_tokens=400_000, input_limit=272_000, output_limit=128_000).room(200_000) == 272_000
    assert Window(total_tokens=400_000, input_limit=390_000, output_limit=128_000).room(64_000) == 336_000


@pytest.mark.parametrize("wrong", [0, -1, True, 8_192.0, "8192"])
def test_a_window_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="total_tokens="):
        Window(total_tokens=wrong)
    with pytest.raises(ConfigurationError):
        window_for("gpt-4o", context_window=wrong)


def test_the_table_tells_its_name_and_date():
    info = table_info()
    assert info.name.startswith("genai-prices ")
    assert date(2026, 1, 1) <= date.fromisoformat(info.date) <= date.today()  # noqa: DTZ011 - a day more or less
    assert info.models > 1_000


def test_the_table_is_read_without_the_network_and_loaded_only_when_asked():
    script = """
        import socket, sys, threading
        def refuse(*arguments, **options):
            print("network!", flush=True)
            raise OSError("no network")
        socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
        from pyrlm.pricing import price_for, preload, window_for
        assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
        preload()
        found = price_for("gpt-4o"), window_for("gpt-4o")
        print(found[0].output_usd_per_mtok, found[1].total_tokens)
        print([thread.name for thread in threading.enumerate() if "price" in thread.name.lower() and thread.is_alive()])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "10.0 128000\n[]\n", done.stderr


@pytest.mark.parametrize("name", ["fake", "openai", "azure", "anthropic", "generic", "command", "vllm"])
def test_a_price_given_to_an_adapter_is_what_the_call_costs_and_lets_a_money_limit_hold(name, monkeypatch):
    from openai_server import LoopbackServer

    from pyrlm import RLM, Policy, adapters

    price = Price(input_usd_per_mtok=1e6, output_usd_per_mtok=0.0)
    with LoopbackServer(["FINAL: done"]) as server:
        made = {
            "fake": lambda: adapters.FakeAdapter(["FINAL: done"], price=price),
            "openai": lambda: adapters.OpenAICompatAdapter("m", base_url=server.url, price=price),
            "vllm": lambda: adapters.get_adapter("vllm:m", base_url=server.url, price=price),
            "azure": lambda: adapters.AzureOpenAIAdapter("m", endpoint=server.url, api_key="test-key-12", price=price),
            "anthropic": lambda: adapters.AnthropicAdapter(
                "m", base_url=server.url, api_key="test-key-12", price=price
            ),
            "command": lambda: adapters.CommandAdapter(["echo", "FINAL: done"], price=price),
            "generic": lambda: adapters.GenericChatAdapter(
                base_url=server.url,
                payload_builder=lambda messages, max_tokens, temperature: {"messages": messages, "model": "m"},
                response_parser=lambda data: data["choices"][0]["message"]["content"],
                price=price,
            ),
        }[name]()
        assert made.price == price
        if name in {"azure", "anthropic"}:
            return  # their servers speak otherwise; the attribute is read for every adapter alike
        result = RLM(made, policy=Policy(max_cost_usd=1e7)).run("q?")
    assert result.cost_usd == result.usage.input_tokens > 0
