"""Sub-agents: values, depth, models, trees in the trace, tools and functions handed over, on both backends."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import threading

import pytest
from openai_server import LoopbackServer, Reply

from pyrlm import RLM, DiskCache, Policy, SmartRouter
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter

CHILD = "You are a sub-agent"
FREE = Policy(max_total_tokens=None)
BACKENDS = ["exec", "monty"]
CHAPTERS = [f"Chapter {n}. " + f"The word of chapter {n} is w{n}x{n}. " + "filler text. " * 40 for n in range(8)]
BOOK = "\n".join(CHAPTERS)


def fenced(code):
    return f"```python\n{code}\n```"


def is_child(messages):
    return CHILD in messages[1]["content"]


def agents(root, child, **options):
    """Return a model whose root says the lines of `root`, and whose sub-agents are answered by `child(messages)`."""
    lines = iter(root)

    def reply(messages):
        return child(messages) if is_child(messages) else next(lines)

    return FakeAdapter(rules=[("", reply)], **options)


def always(code):
    return lambda messages: fenced(code) if len(messages) == 2 else "FINAL: " + messages[-1]["content"]


def run(root, child, context=BOOK, *, backend="exec", query="q?", policy=FREE, **options):
    if "adapter" not in options:
        options["adapter"] = agents(root, child)
    return RLM(policy=policy, repl_backend=backend, **options).run(query, context)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_answer_is_a_value_in_the_parents_variables(backend):
    root = [
        fenced(
            "import datetime\nv = rlm_query('values?', P[:500])\n"
            "print(type(v['s']).__name__, v['s'] == {1, 2}, v['t'], v['i'] == 2**70, v['b'], list(v), v['d'].year)"
        ),
        "FINAL_VAR: v",
    ]
    child = always(
        "import datetime\nFINAL({'z': 1, 's': {1, 2}, 't': (1, (2,)), 'i': 2**70, 'b': b'\\x00', 'd': datetime.date(2026, 1, 2)})"
    )
    result = run(root, child, backend=backend)
    assert (
        "set True (1, (2,)) True b'\\x00' ['z', 's', 't', 'i', 'b', 'd'] 2026"
        in result.trace.of_kind("repl_exec")[0].stdout
    )
    assert result.value["d"] == dt.date(2026, 1, 2)
    assert list(result.value) == ["z", "s", "t", "i", "b", "d"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_context_passes_through_no_models_message(backend):
    text = "".join(f"{n:07d}" for n in range(60_000))
    root = [fenced("n = rlm_query('how long?', P[:300_000])\nprint(n)"), "FINAL: done"]
    adapter = agents(root, always("FINAL(len(P))"))
    result = run(root, None, text, backend=backend, adapter=adapter)
    assert "300000" in result.trace.of_kind("repl_exec")[0].stdout
    assert max(len(m["content"]) for call in adapter.calls for m in call.messages) < 8_000


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_and_documents_are_contexts_too(backend):
    root = [
        fenced(
            "a = rlm_query('sum?', [{'n': 1}, {'n': 2}])\n"
            "b = rlm_query('documents?', ['one', 'two', 'three'])\nc = rlm_query('nothing?')\nprint(a, b, c)"
        ),
        "FINAL: done",
    ]

    def child(messages):
        first = messages[1]["content"]
        if "sum?" in first:
            return fenced("FINAL(sum(r['n'] for r in context))")
        return fenced("FINAL(ctx.num_documents())") if "documents?" in first else "FINAL: no material"

    assert run(root, child, backend=backend).trace.of_kind("repl_exec")[-1].stdout == "3 3 no material\n"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nr = await asyncio.gather(*[rlm_query('word?', d) for d in ctx.chunk_documents(1)])",
        "r = rlm_query_batch([('word?', d) for d in ctx.chunk_documents(1)])",
        "r = rlm_query_batch(['word?'] * 8, ctx.chunk_documents(1))",
        "r = rlm_query_batch('word?', ctx.chunk_documents(1))",
        "r = rlm_query_batched([{'query': 'word?', 'context': d} for d in ctx.chunk_documents(1)])",
        "r = [await rlm_query('word?', context=d) for d in ctx.chunk_documents(1)]",
        (
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n"
            "    r = list(pool.map(lambda d: rlm_query('word?', d), ctx.chunk_documents(1)))"
        ),
    ],
)
def test_the_forms_of_a_batch(backend, code):
    child = always("FINAL(re.search(r'w\\d+x\\d+', P)[0])")
    result = run([fenced(code + "\nprint(r)"), "FINAL_VAR: r"], child, CHAPTERS, backend=backend)
    assert result.value == [f"w{n}x{n}" for n in range(8)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "code",
    [
        (
            "import asyncio\nasync def one(d):\n    work()\n    return await rlm_query('word?', d)\n"
            "r = await asyncio.gather(*[one(d) for d in docs])"
        ),
        (
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n"
            "    f = []\n    for d in docs:\n        work()\n        f.append(pool.submit(rlm_query, 'word?', d))\n"
            "    r = [x.result() for x in f]"
        ),
    ],
)
def test_what_code_starts_side_by_side_is_divided_together_however_long_it_takes_to_ask(backend, code):
    prelude = "docs = ctx.chunk_documents(1)\ndef work():\n    return sum(range(800_000))\n"
    child = always("FINAL(re.search(r'w\\d+x\\d+', P)[0])")
    result = run([fenced(f"{prelude}{code}\nprint(r)"), "FINAL_VAR: r"], child, CHAPTERS, backend=backend)
    assert result.value == [f"w{n}x{n}" for n in range(8)]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("rlm_query(3)", "expected the question"),
        ("rlm_query_batch('q')", "expected a list of (query, context) pairs, got str"),
        ("rlm_query_batch(['a', 'b'], ['x'])", "2 queries and 1 contexts"),
        ("rlm_query_batch([5])", "rlm_query_batch(queries)[0]: expected a query, a pair"),
        ("rlm_query('q', 'c', model='nobody')", "not one of this run's sub-models"),
        ("rlm_query('q', 'c', max_steps=0)", "max_steps=0: expected a whole number of 1 or more"),
        ("rlm_query('q', 'c', functions=['nothing'])", "no function that your code has defined"),
        ("rlm_query('q', 'c', schema={'x': 'nonsense'})", "nonsense"),
    ],
)
def test_a_mistake_is_an_error_that_says_how_it_is_done(code, told):
    result = run([fenced(code), "FINAL: done"], always("FINAL(1)"))
    assert told in (result.trace.of_kind("repl_exec")[0].error or result.trace.of_kind("repl_exec")[0].stdout)
    assert not result.trace.of_kind("sub_root_call")


@pytest.mark.parametrize("share", ["P", "P[:int(len(P) * .95)]", "[P[:len(P)//2], P[len(P)//2:]]", "'x' + P"])
def test_nearly_all_of_the_parents_text_is_refused_with_the_reason(share):
    result = run([fenced(f"print(rlm_query('q', {share}))"), "FINAL: done"], always("FINAL(1)"))
    told = result.trace.of_kind("repl_exec")[0].stdout
    assert told.startswith("[sub-call failed: its context holds ")
    assert "give each sub-agent a part" in told
    assert not result.trace.of_kind("sub_root_call")
    (refused,) = result.trace.of_kind("recursive_subcall")
    assert (refused.depth, refused.parent) == (1, result.trace.of_kind("root_call")[0].step_id)


def test_as_much_text_that_is_not_the_parents_is_not_refused():
    root = [fenced("print(rlm_query('how long?', 'other text. ' * (len(P) // 12)))"), "FINAL: done"]
    result = run(root, always("FINAL(len(P))"))
    assert int(result.trace.of_kind("repl_exec")[0].stdout) > 0.9 * sum(map(len, CHAPTERS))


def test_data_of_the_parent_is_refused_too():
    rows = [{"id": n, "text": f"row {n} of many"} for n in range(200)]
    root = [fenced("print(rlm_query('q', context), rlm_query('q', context[:50]))"), "FINAL: done"]
    told = run(root, always("FINAL(len(context))"), rows).trace.of_kind("repl_exec")[-1].stdout
    assert told.startswith("[sub-call failed: its context holds 100%")
    assert told.endswith(" 50\n")


def deep(messages):
    """Each agent starts another over half of its text, as deep as it goes, and says how deep that was."""
    if len(messages) == 2:
        return fenced(
            "try:\n    d = rlm_query('deeper', P[:len(P) // 2])\nexcept NameError as e:\n    d = str(e)\nprint(d)\nFINAL(['level', d])"
        )
    return "FINAL_VAR: d"


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_down_to_the_depth_of_the_policy(depth):
    adapter = FakeAdapter(rules=[("", deep)])
    policy = Policy(max_total_tokens=None, max_recursion_depth=depth)
    result = RLM(adapter, policy=policy).run("q?", BOOK)
    value, levels = result.value, 0
    while isinstance(value, list):
        value, levels = value[1], levels + 1
    assert levels == depth + 1
    assert f"max_recursion_depth={depth}" in value
    assert {step.depth for step in result.trace} == set(range(depth + 1))
    prompts = [call.messages[0]["content"] for call in adapter.calls if len(call.messages) == 2]
    assert [("rlm_query(query, context)" in prompt) for prompt in prompts] == [True] * depth + [False]


def test_a_model_for_each_depth_and_by_name():
    seen = []

    def named(name):
        def reply(messages):
            seen.append((name, "deeper" in messages[1]["content"]))
            return deep(messages)

        return FakeAdapter(rules=[("", reply)], model=name)

    policy = Policy(max_total_tokens=None, max_recursion_depth=3)
    rlm = RLM(named("root"), subagent_adapters=[named("one"), named("two")], policy=policy)
    result = rlm.run("q?", BOOK)
    assert [name for name, _ in seen] == ["root", "one", "two", "two"]
    assert {step.model: step.depth for step in result.trace.calls} == {"root": 0, "one": 1, "two": 3}
    by_depth = {depth: cost.calls for depth, cost in result.costs.by_depth.items()}
    assert by_depth == {0: 1, 1: 1, 2: 1, 3: 1}
    other = FakeAdapter(rules=[("", "FINAL: by the other one")], model="other")
    adapter = agents([fenced("print(rlm_query('q', P[:99], model='other'))"), "FINAL: done"], always("FINAL(0)"))
    result = RLM(adapter, subcall_models={"other": other}, policy=FREE).run("q?", BOOK)
    assert result.trace.of_kind("repl_exec")[0].stdout == "by the other one\n"


def test_sub_agents_stand_in_the_trace_as_a_tree():
    root = [fenced("r = rlm_query_batch('word?', ctx.chunk_documents(4))\nprint(llm_query('x'))"), "FINAL_VAR: r"]

    def child(messages):
        return fenced("a = llm_query('sub ' + P[:50])\nFINAL(a)")

    adapter = agents(root, child)
    sub = FakeAdapter(rules=[("", "sub answer")], model="sub")
    result = run(root, child, CHAPTERS, adapter=adapter, subcall_adapter=sub)
    steps = {step.step_id: step for step in result.trace}
    first = result.trace.of_kind("root_call")[0]
    started = result.trace.of_kind("recursive_subcall")
    assert [(s.parent, s.depth, s.prompt) for s in started] == [(first.step_id, 1, "word?")] * 2
    for call in result.trace.of_kind("sub_subcall"):
        asked = steps[call.parent]
        assert (asked.kind, asked.depth, call.depth) == ("sub_root_call", 1, 1)
        assert steps[asked.parent].kind == "recursive_subcall"
    ends = [s for s in result.trace.of_kind("run_finished") if s.depth == 1]
    assert {s.parent for s in ends} == {s.step_id for s in started}
    assert [s.output for s in ends] == ["sub answer"] * 2
    assert result.trace.steps[-1].depth == 0
    assert result.trace.usage == result.usage
    assert result.trace.value == result.value
    assert result.subcalls == 2 * 2 + 1
    assert sum(cost.calls for cost in result.costs.by_model.values()) == len(result.trace.calls) == 7


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_of_the_code_are_handed_over(backend):
    define = (
        "import re as rx\nPATTERN = rx.compile(r'w(\\d+)x')\nLIMITS = {'low': 1, 'high': 5}\n"
        "def inside(n):\n    return LIMITS['low'] <= n <= LIMITS['high']\n"
        "def number(text):\n    'Return the number of a chapter.'\n    n = int(PATTERN.search(text)[1])\n    return n if inside(n) else -n\n"
    )
    use = "r = rlm_query_batch('number?', ctx.chunk_documents(1), functions=[number])\nprint(r)"
    adapter = agents([fenced(define), fenced(use), "FINAL_VAR: r"], always("FINAL(number(P))"))
    result = run(None, None, CHAPTERS, backend=backend, adapter=adapter)
    assert result.value == [0, 1, 2, 3, 4, 5, -6, -7]
    told = next(call.messages[1]["content"] for call in adapter.calls if is_child(call.messages))
    assert "- number(text): Return the number of a chapter." in told


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_function_has_computed_is_not_guessed(backend):
    root = [
        fenced(
            "rows = [len(d) for d in ctx.chunk_documents(1)]\ndef f(i):\n    return rows[i]\nrlm_query('q', P[:9], functions=[f])"
        ),
        "FINAL: done",
    ]
    error = run(root, always("FINAL(1)"), CHAPTERS, backend=backend).trace.of_kind("repl_exec")[0].error
    assert "ValueError: f() uses the variable 'rows', whose value was computed" in error


HANDED = {
    "another name": ("def g(x): return x + 1\nf = g", 2),
    "a cache": ("from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(x): return x + 1", 2),
    "a lambda": ("f = lambda x: x + 1", 2),
    "made by another": ("def add(x): return x + 1\ndef mk(n):\n    def add(x): return x + n\n    return add\nf = mk(10)", "no function"),
    "a local one": ("def f(x): return x + 1\ndef go():\n    def f(x): return 9\n    return rlm_query('Q', P[:9], functions=[f])\ngo()", "can't|no function"),
    "bound within if": ("def f(x): return x + 1\nif True:\n    def f(x): return x + 100", "'f' can't be handed over"),
    "a global that is set": ("K = 1\ndef f(x): return x + K\ndef setk():\n    global K\n    K = 100\nsetk()", "'K', whose value was computed"),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", HANDED)
def test_a_sub_agent_has_the_function_that_the_code_has_or_none(backend, name):
    define, expected = HANDED[name]
    use = "FINAL([rlm_query('Q', P[:9], functions=[f]), f(1)])"
    result = run([fenced(define), fenced(use), "FINAL: none"], always("FINAL(f(1))"), CHAPTERS, backend=backend)
    if isinstance(expected, int):
        assert result.value == [expected, expected]
        return
    errors = [step.error for step in result.trace.of_kind("repl_exec") if step.error]
    assert any(re.search(expected, error) for error in errors), errors
    assert result.trace.of_kind("sub_root_call") == [] or name == "a local one"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_definition_of_a_step_that_raised_is_not_taken_for_the_one_that_counts(backend):
    cells = ["def f(x): return x + 1", "int('no')\ndef f(x): return -1", "FINAL(rlm_query('Q', P[:9], functions=[f]))"]
    again = "def f(x): return x + 5\nFINAL(rlm_query('Q', P[:9], functions=[f]))"
    script = [*map(fenced, cells), fenced(again)]
    result = run(script, always("FINAL(f(1))"), CHAPTERS, backend=backend)
    errors = [step.error for step in result.trace.of_kind("repl_exec") if step.depth == 0]
    assert "'f' can't be handed over: it was bound again in a step that did not run to its end" in errors[2]
    assert result.value == 6


def test_functions_are_there_again_after_a_crash():
    root = [fenced("def twice(x):\n    return 2 * x\nprint(rlm_query('q', P[:99], functions=[twice]))"), "FINAL: done"]

    def child(messages):
        if len(messages) == 2:
            return fenced("x = 'a' * 10**11")
        return fenced("FINAL(twice(21))") if len(messages) == 4 else "FINAL: lost"

    result = run(root, child)
    assert result.trace.of_kind("repl_exec")[0].stdout == "42\n"


def secret(name: str) -> str:
    """Tell the secret of `name`."""
    return f"secret of {name}"


def other(name: str) -> str:
    """Do something else."""
    return f"other {name}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_child_has_only_the_tools_that_are_passed_on(backend):
    root = [
        fenced(
            "a = rlm_query('tool?', P[:99])\nb = rlm_query('tool?', P[:99], tools=['secret'])\n"
            "c = rlm_query('tool?', P[:99], tools=['secret', 'other'])\nprint(a, b, c, sep='|')"
        ),
        "FINAL: done",
    ]
    code = (
        "found = []\ntry:\n    found.append(secret('x'))\nexcept NameError:\n    found.append('none')\n"
        "try:\n    found.append(other('y'))\nexcept NameError:\n    found.append('none')\nFINAL(found)"
    )
    adapter = agents(root, always(code))
    result = run(None, None, backend=backend, adapter=adapter, tools=[secret, other])
    assert result.trace.of_kind("repl_exec")[-1].stdout == (
        "['none', 'none']|['secret of x', 'none']|['secret of x', 'other y']\n"
    )
    prompts = [c.messages[0]["content"] for c in adapter.calls if is_child(c.messages)]
    assert [("secret(" in p, "other(" in p) for p in prompts] == [(False, False), (True, False), (True, True)]
    depths = {step.depth for step in result.trace.of_kind("tool_call")}
    assert depths == {1}


def test_passing_on_only_narrows():
    policy = Policy(max_total_tokens=None, max_recursion_depth=2)
    root = [fenced("print(rlm_query('pass', P[:900], tools=['other']))"), "FINAL: done"]

    def child(messages):
        if "last" in messages[1]["content"]:
            return fenced("FINAL('x')")
        if len(messages) == 2:
            return fenced("rlm_query('last', P[:99], tools=['secret'])")
        return "FINAL: " + messages[-1]["content"]

    result = run(root, child, policy=policy, tools=[secret, other])
    told = result.trace.of_kind("repl_exec")[-1].stdout
    assert "'secret' is no function that your code has defined" in told
    assert "Tools and servers that can be passed on: other" in told
    assert "passed on: other, secret" not in told
    assert len(result.trace.of_kind("recursive_subcall")) == 1


def test_a_long_prompt_becomes_a_sub_agent():
    sub = FakeAdapter(rules=[("", lambda m: f"read {len(m[-1]['content'])}")], model="small", context_window=3_000)
    root = [
        fenced(
            "r = llm_batch(['Count: ' + P[:40_000], 'Count: ' + P[:900]])\ns = llm_query('Give it: ' + P[:40_000], schema={'n': 'int'})\nprint(r, s)"
        ),
        "FINAL: done",
    ]

    def child(messages):
        assert "whole prompt, task and text, is `P` (40,0" in messages[1]["content"]
        return fenced("FINAL({'n': len(P)})" if "Give it: " in messages[1]["content"] else "FINAL(len(P))")

    text = "0123456789abcdef " * 6_000
    result = run(None, None, text, adapter=agents(root, child), subcall_adapter=sub, recursive_subcalls=True)
    assert result.trace.of_kind("repl_exec")[-1].stdout == "[40007, 'read 907'] {'n': 40009}\n"
    result = run(None, None, text, adapter=agents(root, child), subcall_adapter=sub)
    assert "[sub-call failed: the prompt has about" in result.trace.of_kind("repl_exec")[-1].stdout


def test_no_deeper_than_allowed_a_long_prompt_is_refused_as_ever():
    sub = FakeAdapter(rules=[("", "read")], context_window=3_000)
    policy = Policy(max_total_tokens=None, max_recursion_depth=0)
    root = [fenced("print(llm_query(P[:40_000]))"), "FINAL: done"]
    result = run(root, None, "0123456789abcdef " * 6_000, subcall_adapter=sub, recursive_subcalls=True, policy=policy)
    assert "[sub-call failed: the prompt has about" in result.trace.of_kind("repl_exec")[-1].stdout


def test_an_answer_has_to_fit_its_schema():
    root = [
        fenced("r = rlm_query('who?', P[:99], schema={'name': 'str', 'year': 'int'})\nprint(r['year'] + 1)"),
        "FINAL: done",
    ]

    def child(messages):
        return fenced("FINAL({'name': 'x'})" if len(messages) == 2 else "FINAL({'name': 'x', 'year': 1999})")

    result = run(root, child)
    assert result.trace.of_kind("repl_exec")[-1].stdout == "2000\n"
    assert len(result.trace.of_kind("sub_root_call")) == 2


def test_an_abstention_and_a_limit_of_its_own():
    root = [
        fenced("r = rlm_query_batch([('none', P[:99]), ('endless', P[:99]), ('fine', P[:99])], max_steps=2)\nprint(r)"),
        "FINAL_VAR: r",
    ]

    def child(messages):
        first = messages[1]["content"]
        if "none" in first:
            return "FINAL: NO_ANSWER"
        stuck = "endless" in first and "The limit" not in messages[-1]["content"]
        return fenced(f"print({len(messages)})") if stuck else "FINAL: good"

    result = run(root, child)
    assert result.value[0] == "NO_ANSWER"
    assert result.value[1].startswith("good [incomplete: max_steps=2")
    assert result.value[2] == "good"
    assert result.status == "answered"


def test_what_sub_agents_read_counts_as_read():
    root = [fenced("r = rlm_query_batch('read', ctx.chunk_documents(4))"), "FINAL: done"]
    result = run(
        root, lambda m: fenced("print(P)\nFINAL(1)") if len(m) == 2 else "FINAL: 1", CHAPTERS, max_output_chars=20_000
    )
    assert result.coverage > 0.95


def test_sub_calls_of_sub_agents_share_the_cache(tmp_path):
    sub = FakeAdapter(rules=[("", "answer")])
    root = [fenced("r = rlm_query_batch('same', ctx.chunk_documents(1))"), "FINAL_VAR: r"]
    with DiskCache(tmp_path) as cache:
        result = run(root, always("FINAL(llm_query('always the same'))"), CHAPTERS, subcall_adapter=sub, cache=cache)
    assert result.value == ["answer"] * 8
    assert len(sub.calls) == 1


def test_sub_agents_in_the_routers_loop():
    root = [fenced("r = rlm_query_batch('word?', ctx.chunk_documents(1))\nprint(r)"), "FINAL_VAR: r"]
    adapter = agents(root, always("FINAL(re.search(r'w\\d+x\\d+', P)[0])"), context_window=8_000)
    result = SmartRouter(adapter, policy=FREE).run(
        "Which words?", [c * 12 for c in CHAPTERS], route="rlm", profile="semantic_batches"
    )
    assert "w7x7" in result.output
    assert len(result.trace.of_kind("recursive_subcall")) == 8


def test_without_sub_calls_there_are_no_sub_agents():
    root = [fenced("rlm_query('q', P[:99])"), "FINAL: done"]
    adapter = agents(root, always("FINAL(1)"))
    result = RLM(adapter, enable_sub_calls=False, policy=FREE).run("q?", BOOK)
    assert "NameError" in result.trace.of_kind("repl_exec")[0].error
    assert all("rlm_query" not in call.messages[0]["content"] for call in adapter.calls)


class Corpus:
    """A retriever of two documents."""

    def search(self, query, top_k=10, filters=None):
        return [{"doc_id": "a", "preview": "The key is blue.", "score": 1.0, "metadata": {}}]

    hybrid_search = search

    def get(self, doc_id):
        return {"doc_id": doc_id, "content": "The key is blue.", "metadata": {}}


def test_a_child_without_a_context_searches_the_index():
    root = [fenced("print(rlm_query('search'), rlm_query('no search', P[:99]))"), "FINAL: done"]
    code = "try:\n    x = es_search('key')[0]['doc_id']\nexcept NameError:\n    x = 'no index'\nFINAL(x)"
    result = run(root, always(code), retriever=Corpus())
    assert result.trace.of_kind("repl_exec")[-1].stdout == "a no index\n"
    assert [s.depth for s in result.trace.of_kind("search")] == [1]


def test_sixteen_send_their_first_requests_side_by_side():
    """No child is answered before all sixteen have asked: with fewer at once this would wait for ever."""
    arrived, everyone = [], threading.Event()

    async def model(body):
        messages = body["messages"]
        if not is_child(messages):
            text = fenced("r = rlm_query_batch('n?', ctx.chunk(400)[:16])") if len(messages) == 2 else "FINAL_VAR: r"
            return Reply(text)
        arrived.append(1)
        if len(arrived) == 16:
            everyone.set()
        await asyncio.to_thread(everyone.wait)
        return Reply("FINAL: 1")

    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        result = RLM(adapter, policy=Policy(max_total_tokens=None, max_seconds=60)).run("q?", "x y z. " * 1_200)
    assert result.value == ["1"] * 16
    assert server.max_in_flight == 16
