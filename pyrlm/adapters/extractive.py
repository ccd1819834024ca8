"""A stand-in for a model that works offline: it picks the sentences of the text that share most words with the question.

It is no language model. It does not understand, infer, count, translate or sum up; it can't say more than a sentence of
the text says, and it misses an answer that is put in other words than the question. It is deterministic and free, and
good for three things: a first run without a key, tests of applications built on pyrlm, and look-ups where the words of
the question stand in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from pyrlm.adapters.base import Message, ModelResponse, Usage
from pyrlm.adapters.extractive_search import best_in
from pyrlm.pricing import Price
from pyrlm.prompts import NO_ANSWER

__all__ = ["ExtractiveAdapter"]

_CHARS_PER_TOKEN = 4
_TEXTS = re.compile(r"<text>\n?(.*?)\n?</text>", re.DOTALL)
_QUESTION = re.compile(r"^Question:[ \t]*(.+?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)

_ROOT_CODE = """\
{library}

QUESTION = {question}
found, share = search(ctx, QUESTION)
if share < {min_share} or not found:
    FINAL("{no_answer}")
{middle}best = ctx.slice(found[0][1], found[0][2]).strip()
for value, start, end in found[:3]:
    print(ctx.slice(start, end).strip())
FINAL(" ".join(best.split()), quotes=[best])
"""

_ASKING = """\
pieces = [ctx.slice(max(0, start - 300), end + 300) for value, start, end in found[:4]]
answers = [a for a in ask_chunks(QUESTION, pieces) if a != "{no_answer}" and not a.startswith("[sub-call failed")]
for piece in pieces:
    if answers and answers[0] in " ".join(piece.split()):
        FINAL(answers[0], quotes=[answers[0]])
"""


class ExtractiveAdapter:
    """Plays every part that a model plays here, by matching words; see the module's text for what it is not.

    As a direct model and as a sub-model it answers by the best-matching sentence; as the root of a loop it writes code
    that searches; where too few of the question's words stand together it says ``NO_ANSWER``.

    Args:
        min_share: Share of the question's words, weighted by rarity, that must stand together (default 0.6).
        context_window: Tokens that it is said to take in (default 8,192, so that larger texts take the loop).
    """

    model = "extractive"
    endpoint = "offline"
    price = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, source="offline")

    def __init__(self, *, min_share: float = 0.6, context_window: int = 8_192) -> None:
        self.min_share = min_share
        self.context_window = context_window

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> ModelResponse:
        """Answer at once; `temperature` and further options change nothing."""
        del temperature, options
        text = self._reply(messages)
        prompt = sum(len(message["content"]) for message in messages)
        cut = text[: max_tokens * _CHARS_PER_TOKEN]
        usage = Usage(input_tokens=prompt // _CHARS_PER_TOKEN, output_tokens=-(-len(cut) // _CHARS_PER_TOKEN), estimated=True)
        return ModelResponse(cut, usage=usage, finish_reason="length" if len(cut) < len(text) else "stop", model=self.model)

    def _reply(self, messages: Sequence[Message]) -> str:
        asked = [message["content"] for message in messages if message["role"] == "user"] or [messages[-1]["content"]]
        first, last = asked[0], asked[-1]
        texts = _TEXTS.findall(last)
        if "You are a sub-LLM" in messages[0]["content"]:
            return self._sub_answer(last, texts)
        if texts:
            return self._direct(_question(last, texts), texts)
        if "no more code runs" in last or "<sample>" not in first:
            return f"FINAL: {NO_ANSWER}"
        return self._root(first, last)

    def _sub_answer(self, prompt: str, texts: list[str]) -> str:
        if texts:
            question, text = _question(prompt, texts), "\n".join(texts)
        else:  # a prompt that code put together: its first line asks, the rest is the piece
            question, _, text = prompt.partition("\n")
        quote = self._best(question, [text])
        return " ".join(quote.split()) if quote else NO_ANSWER

    def _direct(self, question: str, texts: list[str]) -> str:
        quote = self._best(question, texts)
        if not quote:
            return NO_ANSWER
        return f"{' '.join(quote.split())}\n<quotes>\n<quote>{quote}</quote>\n</quotes>"

    def _best(self, question: str, texts: list[str]) -> str:
        text = "\n\n".join(texts)
        ranked, share = best_in(text, question, 1)
        if not ranked or share < self.min_share:
            return ""
        return text[ranked[0][1] : ranked[0][2]].strip()

    def _root(self, first: str, last: str) -> str:
        middle = _ASKING.format(no_answer=NO_ANSWER) if "llm_batch" in first + last else ""
        code = _ROOT_CODE.format(
            library=_library(),
            question=repr(_question(first, [])),
            min_share=self.min_share,
            no_answer=NO_ANSWER,
            middle=middle,
        )
        return f"```python\n{code}```"


def _question(prompt: str, texts: list[str]) -> str:
    """Return the question of a prompt; a text in it may hold a line that looks like one, so texts are taken out first."""
    for text in texts:
        prompt = prompt.replace(text, "")
    found = _QUESTION.findall(prompt)
    return found[-1].strip() if found else prompt.strip()


@cache
def _library() -> str:
    """Return the source of the search functions, which is what the root sends as code."""
    return resources.files("pyrlm.adapters").joinpath("extractive_search.py").read_text(encoding="utf-8")
