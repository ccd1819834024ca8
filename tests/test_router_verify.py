"""VERIFY: an independent second route, a comparison against the text, at most one arbitration; always bounded."""

from __future__ import annotations

import pytest

from pyrlm import Policy, RouterConfig, SmartRouter
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.errors import ModelUnavailableError
from pyrlm.routers.agreement import agree, stands_in

TEXT = (
    "The warranty of the pump lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
    "The old catalogue of 1998 promised a warranty of 36 months for valves.\n\n"
    + "Nothing else of interest happened in the quiet harbour town.\n"
    * 8
)
QUERY = "How long is the warranty of the pump?"
RIGHT = "24 months\n<quotes><quote>The warranty of the pump lasts 24 months.</quote></quotes>"
SECOND = "<quotes><quote>The warranty of the pump lasts 24 months.</quote></quotes>\nAnswer: 24 months"
WRONG = "36 months\n<quotes><quote>The old catalogue of 1998 promised a warranty of 36 months</quote></quotes>"


def verify(script, query=QUERY, context=TEXT, **options):
    adapter = FakeAdapter(script)
    return SmartRouter(adapter, profile="verify", **options).run(query, context), adapter


def verdict_for(answer):
    """An arbiter that looks for the right answer among A and B, wherever it stands, and quotes the text for it."""

    def reply(messages):
        prompt = messages[-1]["content"]
        letter = "A" if f"Answer A: {answer}" in prompt else "B"
        return f"{letter}\n<quotes><quote>The warranty of the pump lasts 24 months.</quote></quotes>"

    return reply


def test_two_routes_that_agree_verify_the_answer():
    result, adapter = verify([RIGHT, SECOND])
    assert (result.output, result.verified, result.status) == ("24 months", True, "answered")
    assert len(adapter.calls) == 2
    assert [attempt.route for attempt in result.attempts] == ["baseline", "select"]
    assert "agree" in result.evidence[0]
    assert any("lasts 24 months" in item for item in result.evidence)
    assert len(result.trace.of_kind("verification")) == 1


def test_the_second_route_has_another_prompt_other_passages_and_never_sees_the_first_answer():
    planted = "It is 777 weeks, says the model."
    _, adapter = verify([planted, SECOND, verdict_for("24 months")])
    first, second = adapter.calls[:2]
    assert first.messages[0]["content"] != second.messages[0]["content"]
    assert first.messages[1]["content"] != second.messages[1]["content"]
    assert "777" not in second.text


def test_a_planted_wrong_answer_is_refuted():
    result, adapter = verify([WRONG, SECOND, verdict_for("24 months")])
    assert (result.output, result.verified, result.status) == ("24 months", True, "answered")
    assert len(adapter.calls) == 3
    assert any(item.startswith("refuted: 36 months") for item in result.evidence)
    assert [citation.text for citation in result.citations] == ["The warranty of the pump lasts 24 months."]


def test_a_wrong_second_answer_does_not_win():
    result, adapter = verify([RIGHT, WRONG, verdict_for("24 months")])
    assert (result.output, result.verified) == ("24 months", True)
    assert len(adapter.calls) == 3


def test_the_arbiter_gets_the_answers_in_an_order_that_does_not_depend_on_their_routes():
    _, one = verify([WRONG, SECOND, verdict_for("24 months")])
    _, other = verify([RIGHT, WRONG, verdict_for("24 months")])
    assert one.calls[2].text[-200:] == other.calls[2].text[-200:]


@pytest.mark.parametrize("ruling", ["NEITHER", "I am not sure, both sound fine.", "", "Apples"])
def test_an_arbitration_that_does_not_decide_leaves_it_to_the_quotes_and_is_not_repeated(ruling):
    fabricated = "36 months, as everybody knows"
    result, adapter = verify([fabricated, SECOND, ruling])
    assert len(adapter.calls) == 3
    assert result.output == "24 months", "its words stand in a true quote, the other's don't"
    assert result.verified is False
    result, adapter = verify([RIGHT, "36 months", ruling])
    assert (result.output, result.verified) == ("24 months", False)
    result, _ = verify(["12 months", "36 months", ruling])
    assert (result.output, result.verified) == ("12 months", False)
    assert any("first answer stands" in item for item in result.evidence)


def test_a_ruling_without_a_true_quote_verifies_nothing():
    result, _ = verify([WRONG, SECOND, lambda messages: verdict_for("24 months")(messages)[0]])
    assert (result.output, result.verified) == ("24 months", False)


def test_a_second_route_that_finds_nothing_puts_the_first_answer_in_doubt():
    def against(messages):
        letter = "A" if "Answer A: The text does not hold" in messages[-1]["content"] else "B"
        return f"{letter}\n<quotes><quote>Returns go to Lyon.</quote></quotes>"

    result, adapter = verify(["Acme Inc.", "NO_ANSWER", against], query="Who made the pump?")
    assert len(adapter.calls) == 3
    assert (result.output, result.status, result.verified) == ("", "unanswered", False)
    assert any("refuted: Acme" in item for item in result.evidence)


@pytest.mark.parametrize("failure", [ModelUnavailableError("gone"), ModelResponse("", refusal="no")])
def test_what_cannot_be_checked_stands_and_is_not_called_verified(failure):
    result, _ = verify([RIGHT, failure])
    assert (result.output, result.verified, result.status) == ("24 months", False, "answered")
    assert "could not be checked" in result.evidence[0]


def test_a_limit_in_the_verification_keeps_the_answer():
    usage = {"prompt_tokens": 200, "completion_tokens": 6_000}
    result, adapter = verify([ModelResponse(RIGHT, usage=usage)], policy=Policy(max_total_tokens=6_300))
    assert (result.output, result.verified) == ("24 months", False)
    assert len(adapter.calls) == 1
    assert "max_total_tokens" in result.evidence[0]


def test_an_answer_that_was_not_found_is_not_verified():
    result, _ = verify(["NO_ANSWER", "FINAL: NO_ANSWER", "FINAL: NO_ANSWER", "FINAL: NO_ANSWER"])
    assert (result.status, result.verified) == ("unanswered", False)


def test_a_look_up_by_passages_is_checked_on_the_whole_text_where_that_fits():
    text = TEXT + "Nothing of interest happened in the quiet harbour town on that day.\n" * 1_000
    config = RouterConfig(literal_tokens=8_000, context_window=200_000)
    result, adapter = verify([RIGHT, SECOND], query="What is the warranty of the pump?", context=text, config=config)
    assert [attempt.route for attempt in result.attempts] == ["select", "baseline"]
    assert result.verified is True
    assert len(adapter.calls[1].text) > len(text) > 2 * len(adapter.calls[0].text)


def test_a_question_on_the_whole_text_is_checked_by_a_loop():
    text = TEXT + "Nothing of interest happened in the quiet harbour town on that day.\n" * 500
    code = "```python\nprint(P.count('harbour'))\nprint(ask('How many?', P[:500]))\n```"
    script = ["500", code, "500 times", "FINAL: 500"]
    config = RouterConfig(context_window=200_000, aggregate_tokens=100_000)
    result, _ = verify(script, query="How many times is the harbour mentioned?", context=text, config=config)
    assert [attempt.route for attempt in result.attempts] == ["baseline", "rlm"]
    assert (result.output, result.verified) == ("500", True)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("24 months", "24 months.", True),
        ("24 months", "The warranty lasts 24 months.", True),
        ("Paris", "It is Paris, in France", True),
        ("1,000", "1000", True),
        ("42", "The answer is 42", True),
        ("24 months", "36 months", False),
        ("24 months", "2 years", False),
        ("Paris", "Lyon", False),
        ("It is allowed", "It is not allowed", False),
        ("yes", "no", False),
        ("It isn't covered", "It is covered", False),
        ("in 1998", "in 1999", False),
        ("Anna Kowalska", "Anna Nowak", False),
        ("", "", True),
    ],
)
def test_agreement(first, second, same):
    assert agree(first, second) is same
    assert agree(second, first) is same


def test_an_answer_stands_in_a_text_with_all_its_numbers_and_words():
    assert stands_in("24 months", "it lasts 24 months")
    assert not stands_in("24 months", "it lasts 36 months")
    assert not stands_in("24 years", "it lasts 24 months")
    assert not stands_in("", "anything")
