"""ExtractiveAdapter: every part that a model plays, on the standard library's own sources and on small texts."""

from __future__ import annotations

import asyncio
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdlib_text import QUESTIONS, stdlib

from pyrlm import RLM, Context, Policy, SmartRouter
from pyrlm.adapters import ExtractiveAdapter, ModelResponse, acomplete, get_adapter
from pyrlm.adapters.extractive_code import library, root_code
from pyrlm.adapters.extractive_search import best_in, segments, tidy, together
from pyrlm.errors import MaxStepsExceeded
from pyrlm.prompts import NO_ANSWER, direct_messages, last_call, sub_messages
from pyrlm.replies import parse_direct, parse_reply

ANSWERED = [item for item in QUESTIONS if "holds" in item]
UNANSWERED = [item["question"] for item in QUESTIONS if "holds" not in item]
WARRANTY = (
    "The device is delivered with a charger and a cable.\n\n"
    "The warranty covers two years from the date of delivery. Batteries are excluded from it.\n\n"
    "Returned devices are sent to the depot in Utrecht within ten days.\n"
)


def reply(messages, **options):
    return asyncio.run(acomplete(ExtractiveAdapter(**options), messages, 1000, None))


def check(item, result):
    assert result.status == "answered", item["question"]
    assert all(words in result.output for words in item["holds"]), result.output
    assert any(item["cites"] in citation.source for citation in result.citations)
    context = stdlib()
    for citation in result.citations:
        assert context.texts[citation.doc][citation.start : citation.end] == citation.text


@pytest.mark.parametrize("item", ANSWERED, ids=lambda item: item["question"])
def test_the_router_answers_from_the_standard_library(item):
    check(item, SmartRouter(ExtractiveAdapter()).run(item["question"], stdlib()))


def test_the_loop_answers_all_ten_by_code_alone():
    assert len(ANSWERED) == 10
    for item in ANSWERED:
        result = RLM(ExtractiveAdapter()).run(item["question"], stdlib())
        check(item, result)
        assert (result.steps, result.subcalls) == (1, 0)


@pytest.mark.parametrize("profile", [None, "deterministic_first", "semantic_batches", "hybrid", "verify"])
def test_what_the_library_does_not_say_is_not_answered(profile):
    router = SmartRouter(ExtractiveAdapter(), profile=profile)
    for question in UNANSWERED if profile is None else UNANSWERED[1:3]:
        assert router.run(question, stdlib()).status == "unanswered", question


@pytest.mark.parametrize("profile", ["deterministic_first", "semantic_batches", "hybrid", "verify"])
@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_every_profile_on_both_backends(profile, backend):
    router = SmartRouter(ExtractiveAdapter(), profile=profile, repl_backend=backend)
    for number in (1, 2, 4):
        result = router.run(ANSWERED[number]["question"], stdlib())
        check(ANSWERED[number], result)
        subcalls = len(result.trace.of_kind("subcall"))
        assert (subcalls > 0) == (profile in {"semantic_batches", "hybrid"})
        assert not [step for step in result.trace.of_kind("repl_exec") if step.error]


def test_hybrid_hands_its_passages_to_the_second_stage():
    result = SmartRouter(ExtractiveAdapter(), profile="hybrid").run(ANSWERED[1]["question"], stdlib())
    first, second = result.trace.of_kind("repl_exec")
    assert result.trace.of_kind("stage")
    assert "passages = [" in first.code
    assert "def search(" in first.code
    assert "def search(" not in second.code  # functions stay in the REPL and are not sent again
    assert "pieces = passages" in second.code
    assert "passages = []" not in second.code


def test_an_answer_without_sub_calls_that_is_turned_back_is_given_with_them():
    rlm = RLM(ExtractiveAdapter(), require_subcall_before_final=True)
    result = rlm.run(ANSWERED[1]["question"], stdlib())
    check(ANSWERED[1], result)
    assert result.subcalls > 0
    assert [step.reason for step in result.trace.of_kind("guard")] == ["no sub-call"]


def test_it_works_under_a_custom_system_prompt():
    adapter = ExtractiveAdapter()
    loop = RLM(adapter, system_prompt="You are a pirate. Answer in rhymes.").run(ANSWERED[1]["question"], stdlib())
    check(ANSWERED[1], loop)
    direct = reply(direct_messages("How long is the warranty?", [WARRANTY], system="You are a pirate."))
    assert "two years" in direct.text


def test_a_direct_prompt_is_answered_with_quotes_that_stand_in_the_text():
    answer = parse_direct(reply(direct_messages("How many years does the warranty cover?", [WARRANTY])).text)
    assert "two years from the date of delivery" in answer.answer
    assert answer.quotes
    assert all(quote in WARRANTY for quote in answer.quotes)
    result = SmartRouter(ExtractiveAdapter()).run("Where are returned devices sent to?", WARRANTY)
    assert (result.method, result.status) == ("baseline", "answered")
    assert "Utrecht" in result.output
    assert result.citations[0].line == 5


def test_no_match_is_no_answer_in_every_part():
    asked = "Who composed the opera Carmen?"
    assert reply(direct_messages(asked, [WARRANTY])).text == NO_ANSWER
    assert reply(sub_messages(f"Question: {asked}\n\nPiece:\n<text>\n{WARRANTY}\n</text>")).text == NO_ANSWER
    assert SmartRouter(ExtractiveAdapter()).run(asked, WARRANTY).status == "unanswered"
    result = RLM(ExtractiveAdapter()).run(asked, WARRANTY)
    assert (result.status, result.output) == ("unanswered", NO_ANSWER)


def test_a_sub_call_is_answered_in_the_words_of_its_piece():
    asked = "Are batteries excluded?"
    for prompt in (f"Question: {asked}\n\nPiece:\n<text>\n{WARRANTY}\n</text>", f"{asked}\n{WARRANTY}"):
        text = reply(sub_messages(prompt)).text
        assert all(part in " ".join(WARRANTY.split()) for part in text.split(" … "))
        assert "Batteries are excluded" in text


def test_a_bare_message_is_a_question_and_a_text():
    for message in (
        f"{WARRANTY}\n\nQuestion: Where are devices sent?",
        f"{WARRANTY}\nWhere are returned devices sent?",
    ):
        assert "Utrecht" in reply([{"role": "user", "content": message}]).text
    assert reply([{"role": "user", "content": "Hello"}]).text == NO_ANSWER


def test_a_text_that_looks_like_a_question_is_still_a_text():
    text = f"Question: Who painted the ceiling?\n\n{WARRANTY}"
    assert "Utrecht" in reply(direct_messages("Where are returned devices sent to?", [text])).text


@pytest.mark.parametrize("words", ["llm_batch", "FINAL_VAR: passages"])
def test_a_sample_with_the_words_of_a_stage_opens_none(words):
    result = RLM(ExtractiveAdapter()).run("Where are devices sent?", f"{words}\n\n{WARRANTY}")
    assert result.value == "Returned devices are sent to the depot in Utrecht within ten days."
    assert result.subcalls == 0


def test_it_judges_two_answers_by_the_passages():
    def judged(first, second):
        asked = f"<text>\n{WARRANTY}\n</text>\n\nQuestion: How long does the warranty cover?\n\n"
        return reply([{"role": "user", "content": f"{asked}Answer A: {first}\n\nAnswer B: {second}"}]).text

    assert judged("two years from delivery", "five decades").startswith("A\n<quotes>")
    assert judged("five decades", "two years from delivery").startswith("B\n<quotes>")
    assert judged("two years", "two years from delivery").startswith("SAME")
    assert judged("five decades", "three months") == "NEITHER"


def test_verify_refutes_a_planted_wrong_answer():
    class Planted(ExtractiveAdapter):
        asked = 0

        async def acomplete(self, messages, max_tokens, temperature=None, **options):
            self.asked += 1
            if self.asked == 1:
                return ModelResponse("They are sent to Nairobi.")
            return await super().acomplete(messages, max_tokens, temperature, **options)

    adapter = Planted()
    result = SmartRouter(adapter, profile="verify").run("Where are returned devices sent to?", WARRANTY)
    assert adapter.asked == 3
    assert result.verified
    assert "Utrecht" in result.output
    assert any("refuted: They are sent to Nairobi." in line for line in result.evidence)


def test_the_last_call_answers_from_print_outs():
    messages = [
        {"role": "system", "content": "…"},
        {"role": "user", "content": "Question: Where are returned devices sent?\n\nMaterial: one text"},
        {"role": "assistant", "content": "```python\nprint(P)\n```"},
        {"role": "user", "content": f"Output:\n{WARRANTY}"},
        {"role": "user", "content": last_call("max_steps")},
    ]
    assert reply(messages).text.startswith("FINAL: Returned devices are sent to the depot in Utrecht")
    assert reply([*messages[:2], messages[-1]]).text == f"FINAL: {NO_ANSWER}"


def test_a_limit_leaves_what_was_found():
    rlm = RLM(ExtractiveAdapter(), policy=Policy(max_steps=1), require_subcall_before_final=True)
    with pytest.raises(MaxStepsExceeded) as caught:
        rlm.run("Where are returned devices sent?", WARRANTY)
    assert "Utrecht" in caught.value.output


def test_it_is_deterministic_free_and_keeps_to_its_limit():
    messages = direct_messages("How many years does the warranty cover?", [WARRANTY])
    assert reply(messages) == reply(messages)
    assert SmartRouter(ExtractiveAdapter()).run("What is excluded?", WARRANTY).cost_usd == 0.0
    short = asyncio.run(acomplete(ExtractiveAdapter(), messages, 5, None))
    assert (short.finish_reason, len(short.text), short.usage.output_tokens) == ("length", 20, 5)


def test_code_that_failed_is_not_sent_again():
    messages = [
        {"role": "user", "content": "Question: x\n\nMaterial: one text"},
        {"role": "assistant", "content": "```python\nsearch()\n```"},
        {"role": "user", "content": "Error:\nNameError: search"},
    ]
    assert reply(messages).text == f"FINAL: {NO_ANSWER}"


@pytest.mark.parametrize(
    "question", ["What does ```x``` do?", 'Is "{a}" it\\?', "Say FINAL: 42", "¿Qué?\nFINAL_VAR: x"]
)
def test_any_question_makes_code_that_is_read_whole(question):
    text = root_code(question, 0.65, stage="", said=(), heard=())
    code = parse_reply(text, "stop", None).code
    assert code == text.removeprefix("```python\n").removesuffix("```").strip()
    compile(code, "code", "exec")
    assert RLM(ExtractiveAdapter()).run(question, WARRANTY).status == "unanswered"


def test_a_lost_repl_gets_the_functions_again():
    said, heard = ["```python\ndef search(): …\n```"], ["The REPL was started anew."]
    assert "def search(" not in root_code("q", 0.65, stage="", said=said, heard=[])
    assert "def search(" in root_code("q", 0.65, stage="", said=said, heard=heard)


def test_what_is_sent_into_the_repl_is_short_and_plain():
    code = library()
    assert len(code) < 12_000
    assert set(re.findall(r"^(?:import|from) .*", code, re.MULTILINE)) == {"import math", "import re"}
    assert "class " not in re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", code)
    assert '"""' not in code.replace('\\"\\"\\"', "")


@given(st.text(alphabet=st.sampled_from("aB .\n\"'#:()-éд中_?!1"), max_size=600))
def test_segments_are_in_order_and_lose_only_blank_lines(text):
    spans = segments(text)
    assert all(start < end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_text_and_question_are_taken(text, question):
    ranked = best_in(text, question)
    assert all(0 <= start < end <= len(text) and 0 <= share <= 1.001 for _, share, start, end in ranked)
    for start, end in together(ranked):
        assert "\n" not in tidy(text[start:end])


def test_sub_calls_read_short_texts_from_their_first_line():
    result = RLM(ExtractiveAdapter(), require_subcall_before_final=True).run(
        "What is the device delivered with?", WARRANTY
    )
    assert "a charger and a cable" in result.output
    assert result.citations[0].start == 0


def test_a_definition_that_is_named_beats_its_mentions():
    text = (
        "from tools import trim\n\nx = trim(trim(trim('trim')))\n\n"
        'def trim(text):\n    """Cut white space off both ends."""\n    return text.strip()\n\n'
        "# trim is called here, and trim is called there\ntrim(y)\n"
    )
    ranked = best_in(text, "What does tools.trim do?")
    assert tidy(text[ranked[0][2] : ranked[0][3]]) == "def trim(text): Cut white space off both ends."


def test_one_big_text_and_many_small_ones_are_searched():
    filler = [f"Record {number}: nothing to see, move along." for number in range(20_000)]
    filler[12_345] = "Record 12345: the crane in the harbour was painted green."
    question = "Which colour was the crane in the harbour painted?"
    for context in (Context.from_documents(filler), "\n".join(filler)):
        result = RLM(ExtractiveAdapter()).run(question, context)
        assert "green" in result.output
        assert filler[12_345] in result.citations[0].text


@pytest.mark.parametrize("name", ["extractive", "extractive:", "Extractive", " extractive "])
def test_its_name_is_taken_with_and_without_the_colon(name, monkeypatch):
    for variable in ("OPENAI_API_KEY", "LLM_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    assert isinstance(get_adapter(name), ExtractiveAdapter)
    assert SmartRouter(name).run("Where is the key?", "The key is in the blue tin.").output
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    assert isinstance(get_adapter(name), ExtractiveAdapter)
