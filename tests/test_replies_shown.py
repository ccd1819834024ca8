"""What of a reply may be shown while it is written: never quotes, thinking or an abstention; always how the answer begins."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrlm.replies import parse_direct
from pyrlm.replies_shown import ShownAnswer


def shown(pieces, **options):
    """What stands on the screen after all pieces, and all that ever stood there."""
    reader, screen, ever = ShownAnswer(**options), "", []
    for piece in pieces:
        new = reader.feed(piece)
        if reader.thought:
            reader.thought, screen = False, ""
        screen += new
        ever.append(screen)
    return screen, ever


PROSE = "The warranty lasts 24 months from the day of the purchase, as the second page of the contract says."


@pytest.mark.parametrize(
    ("reply", "screen"),
    [
        (PROSE, PROSE),
        (f"{PROSE}\n<quotes>\n<quote>lasts 24 months</quote>\n</quotes>", PROSE),
        (f"{PROSE}\n\n**Supporting quotes:**\n- lasts 24 months", PROSE),
        (f"{PROSE} <quote>lasts 24 months</quote>", PROSE),
        (f"<think>It says NO_ANSWER?\n\nNo.</think>\n{PROSE}", PROSE),
        (f"{PROSE} <think>hm</think> Or less.", f"{PROSE}  Or less."),
        (f"[THINK]Hm.[/THINK]{PROSE}", PROSE),
        (f"Answer: {PROSE}", PROSE),
        (f"**Answer:** {PROSE}", PROSE),
        ("NO_ANSWER", ""),
        ("NO_ANSWER: the text does not say.", ""),
        ("**NO_ANSWER**\n<quotes></quotes>", ""),
        ("The text does not say.", ""),
        ("The text does not say so, but 24 is meant.", "The text does not say so, but 24 is meant."),
        ("I don't know.\n<quotes>\n</quotes>", ""),
        ("24 months\n<quotes>\n<quote>lasts</quote>\n</quotes>", "24 months"),
        ('{"answer": "24 months", "quotes": []}', ""),
        ('```json\n{"answer": "24 months"}\n```', ""),
        ("x < y and a[0] <b> 5", "x < y and a[0] <b> 5"),
        ("Quotation marks are set in italics.", "Quotation marks are set in italics."),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_what_is_shown(reply, screen, size):
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    assert shown(pieces)[0] == screen


def test_text_comes_as_it_is_written_and_not_at_the_end():
    words = [f"{word} " for word in PROSE.split()]
    _, ever = shown(words)
    assert len(set(ever)) > len(words) - 3


@pytest.mark.parametrize(
    "reply",
    [
        "The tag `<think>` opens it, `</think>` closes it, and that is all that there is to it.",
        'The template writes "<think>like this</think>" around it; “</think>” ends it.',
        "Write `[THINK]like this[/THINK]` around it, and nothing else at all.",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_tags_that_are_talked_about_are_shown(reply, size):
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    screen, ever = shown(pieces)
    assert screen == parse_direct(reply).answer == reply
    assert all(reply.startswith(moment) for moment in ever)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_channels_are_not_shown(size):
    reply = f"<|channel|>analysis<|message|>MUSING<|end|><|start|>assistant<|channel|>final<|message|>{PROSE}<|return|>"
    screen, ever = shown([reply[start : start + size] for start in range(0, len(reply), size)])
    assert not any(ever)
    assert screen == ""
    assert parse_direct(reply).answer == PROSE


def test_thinking_that_no_tag_opened_is_taken_back_and_next_time_held():
    reply = ["Let me see, the user wants the warranty. ", "Page two. ", "</think>", PROSE]
    screen, ever = shown(reply)
    assert screen == PROSE
    assert "Let me see" in ever[0]
    screen, ever = shown(reply, thinking=True)
    assert screen == PROSE
    assert not any("Let me" in moment for moment in ever)


@pytest.mark.parametrize(
    ("reply", "screen"),
    [
        (f"FINAL: {PROSE}", PROSE),
        (f"**FINAL:** {PROSE}", PROSE),
        (f"<think>So.</think>\n\nFINAL: {PROSE}\n<quotes><quote>x</quote></quotes>", PROSE),
        ("```python\nprint(len(P))\n```", ""),
        ("I will look.\nFINAL: 42 is what I found in the end.", ""),
        ("FINAL_VAR: answer", ""),
        ('FINAL("42")', ""),
        ("FINAL: NO_ANSWER", ""),
        (f"**FINAL: {PROSE}**", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_of_the_loop_only_a_final_answer_is_shown(reply, screen, size):
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    assert shown(pieces, final=True)[0] == screen


PARTS = st.sampled_from(
    [
        PROSE, "24 months", "NO_ANSWER", "no answer", "I don't know", "the text does not say", ".", " ", "\n", "\n\n", "- one",
        "<quotes>", "</quotes>", "<quote>lasts 24 months</quote>", "<quote>", "QUOTES:", "\nQuotes:\n", "**Quotes**", "```",
        "```python", "```quotes\n", "{", '"', "<think>", "</think>", "[THINK]", "[/THINK]", "Answer:", "FINAL:", "**", "<", "[", "# ",
        "because", "`x`", "Final answer", "1. ", "é", "<b>", "> ",
    ]
)  # fmt: skip


@example(["<quote>", "</think>", PROSE, "<quote>lasts 24 months</quote>", "NO_ANSWER"], 1)
@settings(max_examples=800, deadline=None)
@given(st.lists(PARTS, max_size=12), st.integers(1, 9))
def test_what_is_shown_is_how_the_answer_begins_however_the_reply_is_cut_into_pieces(parts, size):
    reply = "".join(parts)
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    screen, ever = shown(pieces)
    answer = parse_direct(reply)
    for moment in ever:
        assert "<quotes>" not in moment.lower()
        talked_about = re.compile(
            r"""(["`])(</?think>|<think>[^\n]*?</think>)(?=\1|\Z)"""
        )  # the mark after it may still be held
        assert "<think>" not in talked_about.sub("", moment)
        assert "</think>" not in talked_about.sub("", moment)
    mixed = ("[THINK]" in reply and "</think>" in reply) or ("<think>" in reply and "[/THINK]" in reply)
    if answer.abstained:
        assert screen == "" or mixed  # one kind of tag opened and another closed: told at the end, by the whole
    elif "</think>" not in reply and "[/THINK]" not in reply:
        assert answer.answer.startswith(screen)


def test_a_long_reply_is_read_in_linear_time():
    reader = ShownAnswer()
    total = sum(len(reader.feed(f"word{number} < 5 ")) for number in range(6_000))
    assert total > 60_000
    silent = ShownAnswer(final=True)
    assert not any(silent.feed(f"x{number} = 1\n") for number in range(6_000))
