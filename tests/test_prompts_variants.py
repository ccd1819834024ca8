"""What the root model is told: four wordings, templates of one's own, runs without sub-calls."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval_corpus import DOCUMENTS

from pyrlm import RLM, PromptTemplate, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.prompts_template import PLACEHOLDERS, REQUIRED
from pyrlm.prompts_variants import VARIANTS
from pyrlm.retrievers import EmbeddedRetriever

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\n" * 400
LENGTHS = ("compact", "small_context", "default", "cost_warning")
BACKENDS = ("exec", "monty")
WHOLE = "{names}\n{rules}\n{language_notes}\n{answer_form}"
SUB_NAMES = ("llm_query", "llm_batch", "llm_query_batch", "ask", "ask_chunks", "ask_chunks_first", "rlm_query")
EXCEPTION = re.compile("sub-?(call|model|LLM|agent)|llm_|rlm_|ask_chunks", re.IGNORECASE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    retriever = EmbeddedRetriever(tmp_path_factory.mktemp("corpus") / "corpus.idx")
    retriever.index(DOCUMENTS)
    return retriever


def python(code):
    return f"```python\n{code}\n```"


def told(script=("FINAL: x",), context=TEXT, query="How long?", **options):
    adapter = FakeAdapter(list(script))
    RLM(adapter, on_limit="return", **options).run(query, context)
    return adapter


def loop_script():
    script = [python("print(llm_query('How long?'))"), "FINAL: 24 months"]
    return FakeAdapter(script, rules=[("You are a sub-LLM", "24 months")])


def system(**options):
    return told(**options).calls[0].messages[0]["content"]


@pytest.mark.parametrize("context", [TEXT, {"a": [1, 2]}], ids=["text", "data"])
@pytest.mark.parametrize("indexed", [False, True])
def test_the_variants_stand_in_the_order_of_their_lengths(context, indexed, corpus):
    retriever = corpus if indexed else None
    sizes = [len(system(prompt_variant=name, context=context, retriever=retriever)) for name in LENGTHS]
    assert sizes == sorted(set(sizes))
    assert sizes[0] < sizes[2] * 0.6, "compact is much shorter than the default"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_tells_all_that_a_run_needs(variant, backend):
    text = system(prompt_variant=variant, repl_backend=backend)
    for words in ("```python", "ctx.find(", "llm_query(", "llm_batch(", "FINAL:", "FINAL_VAR:", "NO_ANSWER", "is data"):
        assert words in text, words
    assert "8000 characters" in text
    assert not re.search(r"\{[a-z_]+\}", text), "a placeholder was left"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_name_that_is_told_is_there(variant, backend):
    names = set(re.findall(r"\b((?:ctx\.)?[a-zA-Z_]+)\(", system(prompt_variant=variant, repl_backend=backend)))
    names -= {"FINAL", "re", "findall", "max", "print", "len", "list", "of", "that", "also", "as", "at", "code"}
    names = sorted(
        name for name in names if name.startswith("ctx.") or "_" in name or name in {"peek", "tail", "lenP", "ask"}
    )
    assert len(names) > 6
    call = "try:\n    {}(1, 2, 3, 4, 5, 6, 7, 8, 9)\nexcept NameError as error:\n    print('missing', error)\nexcept Exception:\n    pass"
    code = "\n".join([*(call.format(name) for name in names), "print('all there')"])
    adapter = told([python(code), "FINAL: x"], prompt_variant=variant, repl_backend=backend)
    assert adapter.calls[-1].messages[-1]["content"] == "Output:\nall there\n"


def test_the_warning_speaks_of_money_and_of_batches_and_only_where_there_are_sub_calls():
    text = system(prompt_variant="cost_warning")
    assert "costs money" in text
    assert re.search(r"million characters take about \d+ calls", text)
    assert system(prompt_variant="cost_warning", enable_sub_calls=False) == system(enable_sub_calls=False)


def test_small_context_advises_small_print_outs_and_small_sub_calls():
    def advised(variant):
        return int(re.search(r"up to ([\d,]+) *characters", system(prompt_variant=variant)).group(1).replace(",", ""))

    assert advised("small_context") < advised("default") / 10
    assert "print little" in system(prompt_variant="small_context")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_system_message_is_the_same_for_all_runs_of_one_configuration(variant):
    options = {"prompt_variant": variant}
    assert system(context=TEXT, query="One?", **options) == system(context=TEXT[:999], query="Two?", **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_router_passes_the_variant_on(variant):
    adapter = loop_script()
    SmartRouter(adapter, prompt_variant=variant).run("How long?", TEXT, route="rlm", profile="semantic_batches")
    assert adapter.calls[0].messages[0]["content"] == system(prompt_variant=variant)


def test_a_stage_that_opens_sub_calls_tells_of_them_in_the_variants_words():
    lengths = []
    for variant in ("compact", "default"):
        adapter = FakeAdapter([python("passages = [P[:30]]"), "FINAL_VAR: passages", "FINAL: 24 months"])
        SmartRouter(adapter, prompt_variant=variant).run("How long?", TEXT, route="rlm", profile="hybrid")
        assert "llm_query" not in adapter.calls[0].messages[0]["content"]
        opened = adapter.calls[-1].messages[-1]["content"]
        assert "llm_query(" in opened
        lengths.append(len(opened))
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt_variant": "short"}, "'compact'"),
        ({"prompt_variant": ["compact"]}, "'compact'"),
        ({"system_prompt": 7}, "PromptTemplate"),
        ({"system_prompt": "Write Python.", "prompt_variant": "compact"}, "takes the place"),
        ({"enable_sub_calls": False, "recursive_subcalls": True}, "no sub-calls that could"),
        ({"enable_sub_calls": False, "require_subcall_before_final": True}, "no answer could pass"),
    ],
)
def test_options_that_can_not_be_used_say_what_is_expected(options, words):
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        RLM(FakeAdapter([]), **options)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        SmartRouter(FakeAdapter([]), **options)


# Templates


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_template_that_lacks_a_part_names_it(missing):
    with pytest.raises(ConfigurationError, match=rf"it lacks \{{{missing}\}}: {re.escape(PLACEHOLDERS[missing])}"):
        PromptTemplate(WHOLE.replace(f"{{{missing}}}", ""))


@pytest.mark.parametrize("text", ["{nmaes}", "{0x} {query}", "f'{doc}'"])
def test_a_word_in_braces_that_is_no_part_is_named_with_those_that_are(text):
    with pytest.raises(ConfigurationError, match=r"is no part of a system message; known are \{role\}.*write \{\{"):
        PromptTemplate(f"{WHOLE}\n{text}")


def test_a_template_needs_a_string():
    with pytest.raises(ConfigurationError, match="NoneType"):
        PromptTemplate(None)


@given(st.text(alphabet='{}"[]: a1_\\%$\n', max_size=60))
def test_no_text_ever_raises_anything_but_what_is_documented(text):
    try:
        template = PromptTemplate(f"{text}\n{WHOLE}")
    except ConfigurationError:
        assert re.search(r"\{[A-Za-z_]\w*\}", text)
        return
    parts = {name: f"<{name} {{x}} {{0}}>" for name in PLACEHOLDERS}
    shown = template.render(parts)
    assert all(parts[name] in shown for name in REQUIRED)
    if not re.search(r"\{\{[A-Za-z_]\w*\}\}", text):
        assert shown.startswith(text.strip())


def test_braces_of_json_are_text_and_a_part_can_be_spelled():
    example = '{"answer": {"months": 24}} {} {0} %s {{names}} { names }'
    text = system(system_prompt=PromptTemplate(f"Example: {example}\n{WHOLE}"))
    assert text.startswith('Example: {"answer": {"months": 24}} {} {0} %s {names} { names }\n')


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_template_gets_the_parts_of_the_run(backend, variant, corpus):
    def lookup(key: str):
        """Look a key up {in the table}."""

    options = {"repl_backend": backend, "prompt_variant": variant, "tools": [lookup], "retriever": corpus}
    template = PromptTemplate("You are our clerk.\n{role}\n" + WHOLE + "\n{max_output_chars} {sub_chars} {example}")
    adapter = told(system_prompt=template, **options)
    text, first = (message["content"] for message in adapter.calls[0].messages)
    built_in = system(**options)
    assert text.startswith("You are our clerk.\n")
    for line in built_in.splitlines():
        assert line in text or line == "Names:", line
    assert "Look a key up {in the table}." in text
    assert "lookup" not in first, "told once"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_under_a_template_answers(backend):
    template = PromptTemplate('Reply in {{json}} style: {"a": 1}\n' + WHOLE)
    adapter = FakeAdapter([python("print(ctx.find('warranty')[0][4])"), "FINAL: 24 months"])
    assert RLM(adapter, system_prompt=template, repl_backend=backend).run("How long?", TEXT).output == "24 months"


def test_a_template_on_the_router_shapes_the_loop():
    adapter = loop_script()
    template = PromptTemplate("Clerk.\n" + WHOLE)
    SmartRouter(adapter, system_prompt=template).run("How long?", TEXT, route="rlm", profile="semantic_batches")
    assert adapter.calls[0].messages[0]["content"].startswith("Clerk.\n")


# Runs without sub-calls


def all_told(adapter):
    return "\n".join(
        message["content"] for call in adapter.calls for message in call.messages if message["role"] != "assistant"
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_without_sub_calls_nothing_speaks_of_them(backend, indexed, variant, corpus):
    from pyrlm import Policy

    steps = [python("print(len(P))")] * 2 + [python("print(len(P) + 1)"), "no code", "FINAL: 24 months"]
    adapter = told(
        steps, enable_sub_calls=False, repl_backend=backend, retriever=corpus if indexed else None,
        prompt_variant=variant, policy=Policy(max_steps=6),
    )  # fmt: skip
    assert "[Left: " in all_told(adapter)
    assert EXCEPTION.search(all_told(adapter)) is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SUB_NAMES)
def test_calling_one_all_the_same_is_a_name_error_that_says_so(backend, name):
    adapter = told(
        [python(f"x = 1\nprint({name}('a', 'b'))"), python("print(x)"), "FINAL: 1"],
        enable_sub_calls=False,
        repl_backend=backend,
    )
    shown = adapter.calls[1].messages[-1]["content"]
    assert re.search(rf"NameError: .*'{name}'", shown)
    assert "This run has no sub-calls" in shown
    assert "Output:\n1" in adapter.calls[2].messages[-1]["content"], "the run goes on, its variables kept"


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_errors_are_shown_as_they_are(backend):
    adapter = told([python("print(y)"), "FINAL: 1"], enable_sub_calls=False, repl_backend=backend)
    assert "sub-call" not in adapter.calls[1].messages[-1]["content"]


@pytest.mark.parametrize("profile", ["deterministic_first", "semantic_batches", "hybrid", "verify"])
@pytest.mark.parametrize("alone", [False, True])
def test_every_profile_of_the_router_works_without_sub_calls(profile, alone, corpus):
    adapter = FakeAdapter([python("print('24 months')"), "FINAL: 24 months", *["NO_ANSWER"] * 4])
    router = SmartRouter(adapter, enable_sub_calls=False, retriever=corpus if alone else None)
    result = router.run("How long is the warranty?", None if alone else TEXT, route="rlm", profile=profile)
    assert result.output == "24 months"
    loop = [call for call in adapter.calls if "REPL" in call.messages[0]["content"]]
    assert len(loop) == 2
    told_to_loop = "\n".join(message["content"] for call in loop for message in call.messages)
    assert EXCEPTION.search(told_to_loop) is None


def test_the_variants_are_named_in_pairs_of_different_words():
    for one, other in itertools.combinations(VARIANTS, 2):
        assert system(prompt_variant=one) != system(prompt_variant=other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_example_shows_the_lengths_and_what_they_cost(backend):
    script = Path(__file__).parent.parent / "examples" / "prompts.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--backend", backend], capture_output=True, text=True, check=True, timeout=60
    )
    sizes = dict(re.findall(r"^(\w+): ([\d,]+) characters", ran.stdout, re.MULTILINE))
    assert set(VARIANTS) <= set(sizes)
    assert re.search(r"^small +15 ", ran.stdout, re.MULTILINE)
    for words in ("This run has no sub-calls", "{answer_from} is no part of a system message"):
        assert words in ran.stdout
