"""What replies say: every form that models are known to write, and the mess around it."""

import ast
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrlm.replies import is_abstention, parse_direct, parse_reply
from pyrlm.replies_said import without_thinking

B3 = "```"
PRINT = "print(len(context))"


def fence(code, tag="python", mark=B3):
    return f"{mark}{tag}\n{code}\n{mark}"


def final_of(text, **kwargs):
    final = parse_reply(text, **kwargs).final
    return None if final is None else (final.name if final.name is not None else final.text)


# --- code ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag",
    [
        "python",
        "py",
        "python3",
        "repl",
        "tool_code",
        "",
        "Python",
        "PYTHON",
        "python title=x",
        "{.python}",
        " python ",
        "Py3",
        "sandbox",
    ],
)
@pytest.mark.parametrize("mark", [B3, "````", "~~~", "~~~~~"])
def test_any_tag_and_any_fence_is_code(tag, mark):
    reply = parse_reply(f"Let me look = at it.\n\n{fence(PRINT, tag, mark)}\nThen we see.")
    assert (reply.code, reply.final, reply.problem) == (PRINT, None, None)


def test_several_fences_all_run_in_order():
    reply = parse_reply(f"First\n{fence('a = 1')}\nthen\n{fence('b = a')}\nand\n{fence('print(b)', '')}")
    assert reply.code == "a = 1\nb = a\nprint(b)"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"Some prose first.\n{B3}python\nx = 1\nprint(x)", "x = 1\nprint(x)"),
        (f"{B3}python\nx = 1\n\nprint(x)\n``", "x = 1\n\nprint(x)\n``"),
        (f"````python\nx = 1\n{B3}", "x = 1"),
        (f"1. Look:\n   {B3}python\n   for x in y:\n       print(x)\n   {B3}\n2. Done", "for x in y:\n    print(x)"),
        (f"- {B3}py\n  print(1)\n  {B3}", "print(1)"),
        (f"> {B3}python\n> x = 1\n> print(x)\n> {B3}", "x = 1\nprint(x)"),
        (f"The code: {B3}python\nprint(1)\n{B3}", "print(1)"),
        (f"{B3}python\nprint(1){B3}\nDone.", "print(1)"),
        (f"{B3}python print(1){B3}", "print(1)"),
        (f"{B3}python\na = 1\n{B3}python\nb = 2\n{B3}", "a = 1\nb = 2"),
        (f"{B3}python\n    a = 1\n    b = 2\n{B3}", "a = 1\nb = 2"),
        (f"{B3}python\n>>> a = 1\n>>> a\n1\n{B3}", "a = 1\na"),
        (f"{B3}python\r\nx = 1\r\nprint(x)\r\n{B3}\r\n", "x = 1\r\nprint(x)"),
        (f"{B3}\nfor x in y\n    print(x)\n{B3}", "for x in y\n    print(x)"),
    ],
)
def test_fences_in_odd_places(text, code):
    assert parse_reply(text).code == code


def test_unclosed_fence_is_told():
    assert "unclosed fence" in parse_reply(f"{B3}python\nx = 1").notes


NESTED = 'doc = """\n# Title\n```python\ninner = 1\n```\nFINAL: no\n</think>\n"""\nprint(doc)'


@pytest.mark.parametrize("tag", ["python", ""])
def test_fence_in_a_string_does_not_end_the_code(tag):
    assert parse_reply(f"Go:\n{fence(NESTED, tag)}\nAnd that is that.").code == NESTED


def test_quote_that_is_never_closed_does_not_swallow_the_rest():
    text = f'{B3}python\ns = """abc\n{B3}\nSome prose here.\n{B3}python\nprint(2)\n{B3}'
    assert parse_reply(text).code == 's = """abc\nprint(2)'


@pytest.mark.parametrize("tag", ["json", "yaml", "text", "xml", "html", "bash", "JSON", "sql", "output", "markdown"])
def test_other_tags_are_not_code(tag):
    reply = parse_reply(f"{fence('x = 1', tag)}\n{fence(PRINT)}")
    assert reply.code == PRINT
    assert parse_reply(fence("x = 1", tag)).problem == "neither"


@pytest.mark.parametrize(
    "body",
    [
        '{"plan": ["search", "read"]}',
        '{"a": true}',
        "[1, 2, 3]",
        "The plan = search first, then read.",
        "42",
        "Yes",
        "a, b",
        "Answer: yes",
    ],
)
def test_untagged_data_and_prose_are_not_code(body):
    assert parse_reply(f"Plan:\n{fence(body, '')}\n{fence(PRINT)}").code == PRINT


def test_a_draft_in_markdown_is_not_code_and_the_rest_is_read():
    draft = f"{B3}markdown\n# Plan\n{B3}python\ndraft()\n{B3}\nmore\n{B3}\n"
    reply = parse_reply(f"{draft}\n{fence(PRINT)}\nFINAL_VAR: x")
    assert (reply.code, final_of(f"{draft}\nFINAL: 42")) == (PRINT, "42")


@pytest.mark.parametrize(
    "code",
    [PRINT, "x = 5", "for m in ctx.find('a'):\n    print(m)", "import re\nx = re.findall('a', context)", "SHOW_VARS()"],
)
def test_bare_code(code):
    assert parse_reply(code).code == code
    reply = parse_reply(f"{code}\nFINAL_VAR: x")
    assert (reply.code, reply.final.name) == (code, "x")


def test_bare_code_with_a_fence_in_a_string_and_a_call_of_final():
    code = f"{NESTED}\nFINAL(doc)"
    assert (parse_reply(code).code, parse_reply(code).final) == (code, None)


@pytest.mark.parametrize(
    "text",
    [
        "Yes", "foo", "42", "a, b", "not found", "x = 5 is the answer", "Answer: 42", "Paris (France)", "Iron(III)", "global warming",
        "import taxes", "None", "I set x = 5, so the total = 7.", "The word FINAL is in this prose.", "final_count = 3 was seen",
    ],
)  # fmt: skip
def test_prose_is_neither(text):
    assert parse_reply(text).problem == "neither"


def test_final_count_is_code_and_not_an_answer():
    assert parse_reply("final_count = 3").code == "final_count = 3"
    assert parse_reply("final_count = 3").final is None


@pytest.mark.parametrize(
    "text",
    [
        f'<function_calls><invoke name="python"><parameter name="code">{PRINT}</parameter></invoke></function_calls>',
        f'I will look.\n<function_calls>\n<invoke name="python">\n<parameter name="code">\n{PRINT}\n</parameter>\n</invoke>\n</function_calls>',
        f'<invoke name="repl"><parameter name="code">{PRINT}</parameter></invoke>',
        f'<tool_call>{{"name": "python", "arguments": {{"code": "{PRINT}"}}}}</tool_call>',
        f'<tool_call>\n{{"name": "python", "arguments": "{{\\"code\\": \\"{PRINT}\\"}}"}}\n</tool_call>',
        f"<tool_call>python\n<arg_key>code</arg_key>\n<arg_value>{PRINT}</arg_value>\n</tool_call>",
        f"<tool_call><function=python><parameter=code>\n{PRINT}\n</parameter></function></tool_call>",
        f"<tool_call>\n{PRINT}\n</tool_call>",
        f"<|python_tag|>{PRINT}<|eom_id|>",
        f"<|python_tag|>{PRINT}",
        f'{{"name": "python", "parameters": {{"code": "{PRINT}"}}}}',
        f"<code>\n{PRINT}\n</code>",
        f"<execute>{PRINT}</execute>",
        f"<python>\n{B3}python\n{PRINT}\n{B3}\n</python>",
        f"<|channel|>analysis<|message|>Maybe x = 1{B3}python\nno()\n{B3}<|end|><|start|>assistant<|channel|>commentary to=python code<|message|>{PRINT}<|call|>",
        f'<|channel|>commentary to=functions.python <|constrain|>json<|message|>{{"code": "{PRINT}"}}<|call|>',
    ],
)
def test_tool_syntax(text):
    reply = parse_reply(text)
    assert (reply.code, reply.final, reply.problem) == (PRINT, None, None)


def test_tool_syntax_keeps_code_that_holds_entities_and_tags():
    code = 'if a < b and "&lt;" in s:\n    print(re.sub("</b>", "", s))'
    wrapped = (
        f'<function_calls><invoke name="python"><parameter name="code">{code}</parameter></invoke></function_calls>'
    )
    assert parse_reply(wrapped).code == code
    escaped = wrapped.replace(code, "if a &lt; b:\n    print(1)")
    assert parse_reply(escaped).code == "if a < b:\n    print(1)"


def test_tool_call_of_final_is_an_answer():
    assert final_of('<tool_call>{"name": "FINAL", "arguments": {"answer": "42"}}</tool_call>') == "42"
    assert (
        final_of(
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>FINAL: 42<|return|>"
        )
        == "42"
    )


# --- thinking alone ---------------------------------------------------------------------------------------------------

ANALYSIS = "<|channel|>analysis<|message|>MUSING"


@pytest.mark.parametrize(
    "said", ["two years", "May\n\nor June", fence(PRINT), f"So:\n{fence(PRINT)}\nFINAL: x", '{"years": 2}']
)
@pytest.mark.parametrize(
    "reply",
    [
        "<think>MUSING</think>\n{}", "\n <thinking>\nMUSING\n</thinking>{}", "<thought>MUSING</thought>{}", "MUSING\n</think>\n\n{}", "MUSING</reasoning>{}", "[THINK]MUSING[/THINK]{}",
        "◁think▷MUSING◁/think▷{}", "MUSING◁/think▷{}", "<think>MUSING</think>\n<think>MUSING 2</think>\n{}", "<think>MUSING</think>{}\n<think>MUSING 2</think>", "{}\n<think>MUSING",
        "<think>```json\n{{\nMUSING</think>\n{}", "MUSING\n```text\ndraft\n</think>\n{}", "<scratchpad>MUSING FINAL: 1</scratchpad>\n{}",
        ANALYSIS + "<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>", "<|start|>assistant" + ANALYSIS + "<|end|><|start|>assistant<|channel|>final<|message|>{}",
        ANALYSIS + "<|end|><|start|>assistant<|channel|>commentary<|message|>MUSING 2<|end|><|start|>assistant<|channel|>final<|message|>{}",
    ],
)  # fmt: skip
def test_without_thinking_is_what_is_left(reply, said):
    assert without_thinking(reply.format(said)) == said


def test_thinking_after_a_line_of_text_is_left_out():
    assert without_thinking("Sure.\n<think>MUSING</think>\nTwo.") == "Sure.\n\nTwo."


@pytest.mark.parametrize(
    "reply", ["<think>hm</think>", "<think>never ends", "hm</think>\n", ANALYSIS, ANALYSIS + "<|end|>"]
)
def test_a_reply_of_thinking_alone_says_nothing(reply):
    assert without_thinking(reply) == ""
    assert parse_direct(reply).answer == ""


@pytest.mark.parametrize(
    "reply",
    [
        "two years", " \n kept as it is \n", "The tag `<think>` opens it and `</think>` ends it.", 'It writes "<think>hm</think>" first.', "It ends with “</think>”.", "Don't write '</think>'!",
        "the tag <think> opens it", f"{B3}text\n<think>hm</think>\nyes\n{B3}", f"{B3}xml\n<a><think>hm</think></a>\n{B3}\nThat is it.", fence('parts = reply.split("</think>")\nprint(parts)'),
        fence(NESTED), "It says:\n<quote>The tag <think> opens</quote>\n<quote>and </think> ends it</quote>", 'x = s.split("</think>")[1]\nprint(x)', '{"tag": "</think>"}',
        "a <|channel|> in the middle", "<b>think</b> and <answer>x</answer>\n<output>\ny\n</output>", f"{fence(PRINT)}\n<output>\n3\n</output>",
    ],
)  # fmt: skip
def test_without_thinking_leaves_alone_what_is_none(reply):
    assert without_thinking(reply) == reply


def test_a_quotation_that_thinking_ends_with_is_none_of_its_tag():
    assert without_thinking('He asks "why?"</think>"Because."') == '"Because."'


@given(
    st.lists(
        st.sampled_from(
            [fence(PRINT), "FINAL: 42", "Hm. ", "\n", "<think>", "</think>", "[THINK]", "[/THINK]", '"', "`", fence("x", "text"), "<quote>", "</quote>"]
        ),
        max_size=10,
    ).map("\n".join)
)  # fmt: skip
@example(f"[THINK]\n<quote>\n[/THINK]\n{fence(PRINT)}\n</think>")
@settings(deadline=None)
def test_what_is_left_holds_the_code_and_the_answer_that_were_taken(text):
    whole, left = parse_reply(text), parse_reply(without_thinking(text))
    assert (left.code, left.final) == (whole.code, whole.final)


# --- thinking and inventions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["think", "thinking", "reasoning"])
def test_thinking_is_neither_code_nor_answer(tag):
    thought = f"Draft:\n{fence('draft()')}\nFINAL: 1\nFINAL_VAR: y\n"
    for opening in (f"<{tag}>", f"\n <{tag}>", ""):
        reply = parse_reply(f"{opening}{thought}</{tag}>\n{fence(PRINT)}")
        assert (reply.code, reply.final) == (PRINT, None)
        assert final_of(f"{opening}{thought}</{tag}>FINAL: 42") == "42"
        assert parse_reply(f"{opening}{thought}</{tag}>{PRINT}").code == PRINT


def test_thinking_with_a_fence_that_was_never_closed():
    assert parse_reply(f"Hm\n{B3}python\nx = (1\n</think>\n{fence(PRINT)}").code == PRINT


def test_thinking_that_never_ends_is_neither():
    reply = parse_reply(f"<think>\n{fence('draft()')}\nFINAL: 1")
    assert (reply.code, reply.final, reply.problem) == (None, None, "neither")
    assert parse_reply("<think>\nHm", finish_reason="length").problem == "cut"


def test_thinking_tag_in_prose_and_in_an_answer():
    assert final_of("FINAL: the tag <think> opens it") == "the tag <think> opens it"


@pytest.mark.parametrize(
    "invented",
    [
        "Output:\n```\nprint(3)\n```",
        "```output\n3\n```",
        "<function_results>\nFINAL: 3\n</function_results>",
        "**Execution output:**\n```\nx = 3\n```",
    ],
)
def test_invented_output_is_dropped_and_the_answer_is_literal(invented):
    reply = parse_reply(f"{fence(PRINT)}\n{invented}\n\nFINAL: 42")
    assert (reply.code, reply.final.text, reply.final.literal) == (PRINT, "42", True)
    assert "invented output" in reply.notes
    assert parse_reply(f"{fence(PRINT)}\n{invented}").final is None


# --- answers ----------------------------------------------------------------------------------------------------------

MARKED = [
    "FINAL: {}", "FINAL({})", "**FINAL:** {}", "**FINAL**: {}", "**FINAL: {}**", "Final answer: {}", "Final Answer: {}",
    "FINAL ANSWER: {}", "**Final Answer:** {}", '"FINAL: {}"', "“FINAL: {}”", "`FINAL: {}`", "> FINAL: {}", "### FINAL ANSWER\n\n{}",
    "## Final answer: {}", "**Final Answer**\n\n{}", "- FINAL: {}", "FINAL:\n{}", "`FINAL({})`", "**FINAL({})**", "FINAL({}).", "  FINAL({})",
    "I know it now.\n\nFINAL: {}", "I know it now.\nFINAL({})\n\nI hope that this helps.", "Final: {}", "<answer>{}</answer>",
    "<final_answer>\n{}\n</final_answer>", "FINAL: {}<|im_end|>", "<|begin_of_box|>FINAL: {}<|end_of_box|>", "The final answer: {}",
    'FINAL("{}")', "FINAL('{}')", 'FINAL("""{}""")', "FINAL(\n{}\n)", "FINAL:\n```\n{}\n```", "```\nFINAL: {}\n```", "```python\nFINAL: {}\n```",
    "```text\nFINAL({})\n```", "FINAL： {}",
]  # fmt: skip


@pytest.mark.parametrize("form", MARKED)
@pytest.mark.parametrize("answer", ["42", "Paris, the capital", "3 of 7 (about 43 %)"])
def test_answer_in_every_form(form, answer):
    reply = parse_reply(form.format(answer))
    assert (reply.code, reply.problem) == (None, None)
    assert reply.final is not None
    assert (reply.final.text, reply.final.literal) == (answer, True)


@pytest.mark.parametrize(
    "form",
    ["FINAL_VAR: {}", "FINAL_VAR({})", 'FINAL_VAR("{}")', "FINAL_VAR('{}')", "**FINAL_VAR:** {}", "**FINAL_VAR: {}**", "`FINAL_VAR({})`",
     "FINAL_VAR: `{}`", "> FINAL_VAR: {}", "Done.\nFINAL_VAR: {}\nThat is all.", "FINAL_VAR({}).", "```\nFINAL_VAR: {}\n```", "```python\nFINAL_VAR: {}\n```",
     '"FINAL_VAR: {}"'],
)  # fmt: skip
def test_variable_in_every_form(form):
    final = parse_reply(form.format("result_2")).final
    assert (final.name, final.text, final.literal) == ("result_2", None, False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("FINAL(see (a) and ) b)", "see (a) and ) b"),
        ("FINAL(first line\nsecond (b)\nthird)", "first line\nsecond (b)\nthird"),
        ("FINAL(1) one (x) 2) two (y))", "1) one (x) 2) two (y)"),
        ("FINAL(sad :( face)", "sad :( face"),
        ("FINAL(sad :( face)\n\nBye (for now)", "sad :( face"),
        ("FINAL(42) (see section 3)", "42"),
        ("FINAL(42), as section 3 says.", "42"),
        ('FINAL("it\'s \\"so\\"\\nnext")', 'it\'s "so"\nnext'),
        ("FINAL([1, 2])", "[1, 2]"),
        ("FINAL: line one\nline two\n\nline three", "line one\nline two\n\nline three"),
        (f"FINAL: Use this:\n{B3}python\nprint(1)\n{B3}", f"Use this:\n{B3}python\nprint(1)\n{B3}"),
        (f"FINAL(Use this:\n{B3}python\nprint(f(1))\n{B3}\n)", f"Use this:\n{B3}python\nprint(f(1))\n{B3}"),
        (f"FINAL:\n{B3}python\nx = 1\n{B3}\ndoes it.", f"{B3}python\nx = 1\n{B3}\ndoes it."),
        ("FINAL: <div>", "<div>"),
        ("FINAL: later that year he left", "later that year he left"),
        ("**FINAL: 42**\n\nIt is so.", "42\n\nIt is so."),
        ("FINAL: **42**", "**42**"),
        ("FINAL: 41\nWait, that is wrong.\nFINAL: 42", "42"),
        ("FINAL_VAR: x\nNo:\nFINAL: 42", "42"),
        ("FINAL: 42\nFINAL_VAR: x", "x"),
        ("FINAL: 42\nThe form is:\nFINAL: <your answer>", "42\nThe form is:"),
        ("FINAL(answer)", "answer"),
        ("FINAL(no closing bracket", "no closing bracket"),
    ],
)
def test_how_far_an_answer_goes(text, answer):
    assert final_of(text) == answer


def test_a_word_in_brackets_may_name_a_variable():
    final = parse_reply("FINAL(best_guess)").final
    assert (final.text, final.may_be_name) == ("best_guess", True)
    assert parse_reply("FINAL(two words)").final.may_be_name is False
    assert parse_reply("FINAL(answer)").final.name == "answer"


@pytest.mark.parametrize(
    "call",
    [
        'FINAL(f"Total: {total}")',
        'FINAL(", ".join(names))',
        "FINAL(str(x))",
        'FINAL("42", quotes=["it is 42"])',
        'FINAL(\n    "a",\n    quotes=[q],\n)',
    ],
)
def test_a_call_that_needs_the_repl_is_code(call):
    reply = parse_reply(f"I have it.\n\n{call}")
    assert (reply.code, reply.final) == (call, None)
    assert parse_reply(f"{fence('x = 1')}\n{call}").code == f"x = 1\n{call}"


@pytest.mark.parametrize(
    "text",
    [
        "FINAL: will come later", "FINAL: to be determined", "FINAL: TBD", "FINAL: I will give it once I have checked", "I will give FINAL(answer) once I know.",
        "Do not use FINAL_VAR(x) yet", "FINAL_VAR(x) is not ready yet", "FINAL(your answer)", "FINAL(...)", "FINAL(…)", "FINAL: <answer>", "FINAL: [your answer here]",
        "FINAL(<your answer>)", "FINAL: ...", "FINAL:", "FINAL()", "FINAL(answer) once I know", "FINAL_VAR: will come", "FINAL_VAR(<variable>)", "FINALLY: done",
        "The FINAL: marker", "3. Final answer: combine the results", "FINAL is a word", "FINAL_VAR", "FINAL(answer) or FINAL_VAR(name)", "finally(x)", "FINAL: `...`",
        "**Final**",
    ],
)  # fmt: skip
def test_no_answer_where_it_is_only_talked_about(text):
    reply = parse_reply(text)
    assert (reply.final, reply.problem) == (None, "neither")


@pytest.mark.parametrize(
    "code",
    [
        "# FINAL: not yet\nx = 1", 's = "FINAL: 3"', 's = """\nFINAL: 3\nFINAL(4)\n"""', "print('FINAL_VAR: x')", "FINAL: str = 'a'\nprint(FINAL)", "d = {\nFINAL: 1,\n}",
        "FINAL(x)", 'FINAL_VAR("x")', "x = 1\nFINAL(x)", 'FINAL("a", quotes=["b"])', "if x:\n    FINAL(x)",
    ],
)  # fmt: skip
def test_what_stays_code_in_a_fence(code):
    reply = parse_reply(fence(code))
    assert (reply.code, reply.final) == (code, None)


@pytest.mark.parametrize(
    ("inside", "code", "answer"),
    [
        ("x = 1\nFINAL: It's 42.", "x = 1", "It's 42."),
        ("x = 1\nFINAL_VAR: x", "x = 1", "x"),
        ("x = 1\n\nFINAL: x", "x = 1", "x"),
        ("x = 1\nFINAL(The answer is 42)", "x = 1", "The answer is 42"),
        ("FINAL(The answer is 42)", None, "The answer is 42"),
        ("FINAL: The answer\nhas two lines", None, "The answer\nhas two lines"),
        ("FINAL_VAR: x\nx = f(1)", "x = f(1)", "x"),
        ("Final answer: 42", None, "42"),
    ],
)
def test_answer_written_into_a_fence(inside, code, answer):
    reply = parse_reply(f"Now:\n{fence(inside)}")
    assert (reply.code, final_of(f"Now:\n{fence(inside)}")) == (code, answer)


def test_code_runs_before_a_variable_is_taken():
    reply = parse_reply(f"{fence('x = llm_query(context)')}\nFINAL_VAR: x")
    assert (reply.code, reply.final.name) == ("x = llm_query(context)", "x")
    reply = parse_reply(f"FINAL_VAR: x\n{fence('x = llm_query(context)')}")
    assert (reply.code, reply.final.name) == ("x = llm_query(context)", "x")


def test_code_for_the_repl_after_an_answer_runs():
    reply = parse_reply(f"FINAL: 42\n\n{fence('print(ctx.find(chr(65)))')}")
    assert (reply.code, reply.final.text) == ("print(ctx.find(chr(65)))", "42")


# --- empty, refused, cut ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "empty"), (None, "empty"), (" \n", "empty"), ("<think>x</think>", "empty"), ("Hm.", "neither")],
)
def test_nothing_to_go_by(text, problem):
    assert parse_reply(text).problem == problem


def test_refusals():
    assert parse_reply("", refusal="I can't help with that").problem == "refusal"
    assert parse_reply(None, refusal="I can't help with that").problem == "refusal"
    assert parse_reply(f"Sure {fence(PRINT)}", "content_filter").problem == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        f"{B3}python\nx = 1\nprint(", f"{fence('x = 1')}\nand\n{B3}python\ny =", "FINAL: the answer is", "FINAL(the answer is", "FINAL_VAR: resul", "Let me think",
        "x = 1\nprint(x)", f'<function_calls><invoke name="python"><parameter name="code">{PRINT}', "",
    ],
)  # fmt: skip
def test_cut_replies_give_nothing(text):
    reply = parse_reply(text, "length")
    assert (reply.code, reply.final, reply.problem) == (None, None, "cut")


def test_what_was_complete_before_the_cut_is_taken():
    reply = parse_reply(f"{fence(PRINT)}\nNext, I will", "length")
    assert (reply.code, reply.problem) == (PRINT, None)
    assert parse_reply(f"{fence(PRINT)}\nFINAL: it is", "length").final is None
    assert final_of("FINAL(42)\nBecause the", finish_reason="length") == "42"
    assert final_of("FINAL_VAR: x\nBecause the", finish_reason="length") == "x"


# --- properties -------------------------------------------------------------------------------------------------------

BITS = [
    "```", "````", "~~~", "```python\n", "\n", "FINAL(", "FINAL: ", "FINAL_VAR: ", "FINAL_VAR(", ")", "(", '"""', "'''", "'", '"', "\\", "<think>", "</think>", "x = 1", "#",
    "<tool_call>", "</tool_call>", "<function_calls>", '<parameter name="code">', "{", "}", "<code>", "</code>", "<answer>", "</answer>", "<quotes>", "</quotes>", "<quote>", "</quote>",
    "QUOTES:", "<|channel|>", "<|message|>", "commentary to=python", "<|python_tag|>", "<output>", "</output>", " ", ">", "**", "word", "\r", "\x00", "\ud800", "Output:", "-", "…", "1. ",
]  # fmt: skip
MESS = st.lists(st.sampled_from(BITS) | st.text(max_size=3), max_size=40).map("".join)


@given(st.text() | MESS, st.sampled_from([None, "stop", "length"]))
@settings(max_examples=600, deadline=None)
def test_never_raises(text, finish):
    reply = parse_reply(text, finish)
    assert (reply.code is None and reply.final is None) == (reply.problem is not None)
    assert reply.final is None or (reply.final.text is None) != (reply.final.name is None)
    parse_direct(text)
    is_abstention(text)


IDENTIFIER = st.sampled_from(["x", "total", "names", "FINAL_count", "résumé"])
INNER = st.lists(
    st.sampled_from(
        [
            "```",
            "```python",
            "~~~",
            "FINAL: 3",
            "FINAL(x)",
            "<think>",
            "</think>",
            "word 'and \" quote",
            "</code>",
            "",
            "# no",
        ]
    ),
    max_size=5,
).map("\n".join)
STATEMENT = st.one_of(
    st.builds(lambda n, s: f"{n} = {s!r}", IDENTIFIER, st.text(max_size=20).filter(str.isprintable)),
    st.builds(lambda n, s: f'{n} = """\n{s}\n"""', IDENTIFIER, INNER.map(lambda s: s.replace('"""', ""))),
    st.builds(lambda n, s: f"{n} = r'''{s}\n'''", IDENTIFIER, INNER),
    st.builds(lambda n, s: f"def f_{n}(a):\n    '''{s}\n'''\n    return a\n", IDENTIFIER, INNER),
    st.builds(lambda n, s: f'{n} = f"""{{1}}{s}\n"""  # it\'s ``` here', IDENTIFIER, INNER),
    st.builds(lambda n: f"for i in range(3):\n\tprint(i, {n}[i:\n i + 1])", IDENTIFIER),
    st.sampled_from(
        [
            "# it's \"a ``` comment",
            "",
            "x = 'a\\\nb'",
            'print("it\'s")',
            "d = {'a': 1,\n'b': [2, 3]}",
            "class A:\n    y: int = 3",
            "FINAL(x)",
        ]
    ),
)


def valid_program(code):
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return code.strip() != ""


@given(
    st.lists(STATEMENT, min_size=1, max_size=5).map("\n".join).filter(valid_program),
    st.sampled_from(["", "Prose it's before.\n\n"]),
    st.sampled_from(["", '\n\nProse after, it\'s "so".']),
)
@example('x = """\n```\n"""', "", "")
@settings(max_examples=400, deadline=None)
def test_any_program_in_a_fence_comes_back_as_it_is(code, before, after):
    for mark in (B3, "````"):
        assert parse_reply(f"{before}{fence(code, mark=mark)}{after}").code == code


WORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="()`~\"'“”‘’<>[]{}*_#\\.|…\u2028\u2029\x85"),
    min_size=1,
    max_size=20,
)
ANSWER = (
    st.recursive(
        WORDS,
        lambda inner: st.lists(
            st.one_of(inner, inner.map(lambda s: f"({s})"), st.just("\n"), st.just(" [1] 'q' \"r\""), WORDS),
            min_size=1,
            max_size=4,
        ).map("".join),
    )
    .map(str.strip)
    .filter(lambda s: s and s[0] not in "'\"[" and "FINAL" not in s and parse_reply(f"FINAL: {s}").final is not None)
)


@given(
    ANSWER,
    st.sampled_from(
        [
            "FINAL: {}",
            "FINAL({})",
            "**FINAL:** {}",
            "Final answer: {}",
            "### FINAL ANSWER\n{}",
            "Prose.\nFINAL({})\n",
            "FINAL(\n{}\n)",
            "<answer>{}</answer>",
            "FINAL({} ) more)",
        ]
    ),
)
@example("0(0)(0)", "### FINAL ANSWER\n{}")
@settings(max_examples=400, deadline=None)
def test_any_answer_comes_back(answer, form):
    expected = f"{answer} ) more" if "more" in form else answer
    got = final_of(form.format(answer))
    assert got is not None
    assert got.strip() == expected


LONG = 1_000_000
HOSTILE = [
    "`", "```\n", "```python\n", "~~~\n", "FINAL(", "FINAL(\n", "FINAL: \n", "FINAL: x\n", "<think>", "x<think>", "<think>\n</think>", "<tool_call>", "<output>\n", "<answer>\n", "'''\n", '"""\n',
    "```\n'''\n```\n\"\"\"\n", "'\\'\\\n", "(", ")", "\n", " ", "\\", "**", "> ", ">", "<", "- ", "{", "[", '"', "'", "<code>\n", "FINAL_VAR: x\n", "d = {\nFINAL: 1,\n}\n", "</think>\n", "</s>",
    "<thinking> <think></think> ", "~~~~\n</think>\n~~~x\n", "x = 1\n", '<parameter name="code">', "<quote>", "</quote>", "<quotes>", "QUOTES:\n", "FINAL:\n```\n", "Output:\n```\nx\n```\n",
    "FINAL: 1\n```\nctx.find()\n```\n", "- a\n", "not ", "no answer ", ")*", "1. ```py\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_work_is_linear_in_the_length_of_the_reply(unit):
    # CPU time of ten times the text against the text itself: a quadratic rule shows as a factor of a hundred.
    def cost(size):
        text = unit * (size // len(unit))
        start = time.process_time()
        parse_reply(text)
        parse_direct(text)
        return time.process_time() - start

    # Other work on the machine only ever adds, so one quiet measurement of three is enough.
    assert any(cost(LONG // 10) < 45 * max(cost(LONG // 100), 0.02) for _ in range(3))


# --- direct answers ---------------------------------------------------------------------------------------------------

QUOTES = ("It was built in 1889.", "Its height is\n330 m")


@pytest.mark.parametrize(
    "text",
    [
        "330 m\n<quotes>\n<quote>It was built in 1889.</quote>\n<quote>Its height is\n330 m</quote>\n</quotes>",
        "<think>hm <quotes><quote>no</quote></quotes></think>Answer: 330 m\n\n<quotes><quote>It was built in 1889.</quote><quote>Its height is\n330 m</quote>",
        "**Answer:** 330 m\n<QUOTES>\n<quote>It was built in 1889.</quote>\n<quote>Its height is\n330 m\n</QUOTES>",
        'FINAL: 330 m\n\nQUOTES:\n- "It was built in 1889."\n- “Its height is\n330 m”',
        "FINAL(330 m)\n**Quotes:**\n1. It was built in 1889.\n2. Its height is\n330 m",
        '330 m\n\n```quotes\n["It was built in 1889.", "Its height is\\n330 m"]\n```',
        '330 m\n### Quotes\n```json\n["It was built in 1889.", "Its height is\\n330 m"]\n```',
        '{"answer": "330 m", "quotes": ["It was built in 1889.", "Its height is\\n330 m"]}',
        "330 m\n<quote>It was built in 1889.</quote>\n<quote>Its height is\n330 m</quote>",
        "<quotes>\n<quote>It was built in 1889.</quote>\n<quote>Its height is\n330 m</quote>\n</quotes>\n330 m",
        "330 m\n<quotes>\n- It was built in 1889.\n- Its height is\n330 m\n</quotes>",
        "<answer>330 m</answer>\n<quotes>\n- It was built in 1889.\n- Its height is\n330 m\n</quotes>",
    ],
)  # fmt: skip
def test_direct_answer_and_its_quotes(text):
    direct = parse_direct(text)
    assert (direct.answer, direct.quotes, direct.abstained) == ("330 m", QUOTES, False)


@pytest.mark.parametrize(
    "text",
    [
        "An answer with\n\nseveral paragraphs.",
        "It says: quotes are fine",
        "x: 1\ny: 2",
        f"Run\n{fence(PRINT)}\nto see.",
    ],
)
def test_direct_answer_without_quotes_is_left_alone(text):
    assert parse_direct(text).answer == text
    assert parse_direct(text).quotes == ()


def test_direct_answer_of_nothing():
    assert parse_direct(None).answer == parse_direct("").answer == ""
    assert parse_direct("NO_ANSWER\n<quotes>\n</quotes>").abstained
    assert parse_direct("42\n<quotes>\n<quote></quote>\nnone\n</quotes>").quotes == ()


@given(
    st.text(st.characters(whitelist_categories=("L", "Nd")), min_size=1),
    st.lists(
        st.text(st.characters(blacklist_characters="<>", blacklist_categories=("Cs",)), min_size=1)
        .map(str.strip)
        .filter(bool),
        min_size=1,
        unique=True,
    ),
)
@example("0", ["[/THINK]"])
@example("0", ["a </think> b", "◁/think▷"])
@settings(deadline=None)
def test_quotes_come_back(answer, quotes):
    block = "\n".join(f"<quote>{quote}</quote>" for quote in quotes)
    direct = parse_direct(f"{answer}\n<quotes>\n{block}\n</quotes>")
    assert (direct.answer, direct.quotes) == (answer, tuple(quotes))


@pytest.mark.parametrize(
    "text",
    [
        "NO_ANSWER", "no_answer", "**NO_ANSWER**", "NO_ANSWER.", '"NO_ANSWER"', "NO_ANSWER - the text is about cats", "NO_ANSWER\nThe text says nothing of it.", "No answer",
        "I don't know", "I don’t know.", "I do not know", "Not stated in the text.", "It is not mentioned in the provided text.", "The text does not say.",
        "The answer is not in the document", "The text doesn't contain this information.", "Unknown", "N/A", "I cannot answer this question from the given text" , "No information found",
        "There is not enough information to answer the question", "The answer cannot be determined from the text.", "I could not find it in the document", "not found",
        "Sorry, I don't know.", "It isn't stated.",
    ],
)  # fmt: skip
def test_abstentions(text):
    assert is_abstention(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "42", "NO_ANSWER is the constant that a sub-call returns", "The Unknown Soldier", "I don't know who did it, said Holmes, but it was Moriarty.", "No", "None", "Not Paris but Lyon",
        "It is stated in the text.", "Paris. Not stated in the text is its size.", "It is found in the passage", "The text does not mention Paris but it gives Lyon as the capital",
        "No answer was given by the minister when he was asked in March", "Knowing nothing", "Available in the document",
    ],
)  # fmt: skip
def test_answers_that_only_look_like_abstentions(text):
    assert not is_abstention(text)
