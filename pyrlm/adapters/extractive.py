"""A stand-in for a model that works offline: it picks the sentences of the text that share most words with the question.

It is no language model. It does not understand, infer, count, translate or sum up; it can't say more than sentences of
the text say, and it misses an answer that is put in other words than the question. Languages written without spaces
between words are beyond it. It is deterministic and free, and good for three things: a first run without a key, tests of
applications built on pyrlm, and look-ups where the words of the question stand in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Message, ModelResponse, Usage
from pyrlm.adapters.extractive_code import root_code
from pyrlm.adapters.extractive_pieces import best_of, quotes_of
from pyrlm.adapters.extractive_search import best_in, tidy, together, words_of
from pyrlm.errors import ContextLengthError
from pyrlm.pricing import Price
from pyrlm.prompts import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ExtractiveAdapter"]

_CHARS_PER_TOKEN = 4
_TEXTS = re.compile(r"<text>\n?(.*?)\n?</text>", re.DOTALL)
_SAMPLE = re.compile(r"<sample>.*</sample>", re.DOTALL)
_QUESTION = re.compile(r"^Question:[ \t]*(.+?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)
_ANSWERS = re.compile(r"^Answer A: (.*?)\n\nAnswer B: (.*)\Z", re.DOTALL | re.MULTILINE)
_HEADER = re.compile(r"^\[document (.*)\]\n", re.MULTILINE)
"""Above each passage of an index: where it is from. Not what it says."""
_BORNE_OUT = 0.6  # share of an answer's words that the passages for the question must hold

_CHOSEN = 0.7  # a piece that was chosen by search needs so much of `min_share`: its own words are all that it can go by


class ExtractiveAdapter:
    """Plays every part that a model plays here, by matching words; see the module's text for what it is not.

    As a direct model, as a sub-model and as a judge between two answers it goes by the best-matching sentences; as the
    root of a loop it writes code that searches; where too few of the question's words stand together it says
    ``NO_ANSWER``. A text for it to read stands between ``<text>`` tags, as pyrlm's prompts have it, or before or after the
    question in the same message.

    Args:
        min_share: Share of the question's words, weighted by rarity, that must stand together (default 0.65).
        context_window: Tokens that it takes in, at four characters each (default 16,384, so that larger texts take the loop).
    """

    model = "extractive"
    endpoint = "offline"
    price = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, source="offline")

    def __init__(self, *, min_share: float = 0.65, context_window: int = 16_384) -> None:
        self.min_share = min_share
        self.context_window = context_window

    def cache_identity(
        self,
        messages: Sequence[Message],  # noqa: ARG002 - the same for every request
        max_tokens: int,  # noqa: ARG002
        temperature: float | None = None,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> dict[str, float]:
        """What can change an answer."""
        return {"min_share": self.min_share}

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> ModelResponse:
        """Answer at once; `temperature` and further options change nothing.

        Raises:
            ContextLengthError: The prompt is longer than `context_window`, at four characters a token.
        """
        del temperature, options
        prompt = sum(len(message["content"]) for message in messages)
        if prompt > self.context_window * _CHARS_PER_TOKEN:
            said = f"the prompt has about {prompt // _CHARS_PER_TOKEN:,} tokens, over context_window={self.context_window:,}"
            raise ContextLengthError(said, model=self.model, limit=self.context_window)
        text = self._reply(messages)
        cut = text[: max_tokens * _CHARS_PER_TOKEN]
        usage = Usage(
            input_tokens=prompt // _CHARS_PER_TOKEN, output_tokens=-(-len(cut) // _CHARS_PER_TOKEN), estimated=True
        )
        return ModelResponse(
            cut, usage=usage, finish_reason="length" if len(cut) < len(text) else "stop", model=self.model
        )

    def _reply(self, messages: Sequence[Message]) -> str:
        asked = [message["content"] for message in messages if message["role"] == "user"] or [messages[-1]["content"]]
        last = asked[-1]
        if "no more code runs" in last:
            return self._last_call(asked)
        if messages[0]["role"] == "system" and "You are a sub-LLM" in messages[0]["content"]:
            return self._sub_answer(last)
        if asked[0].startswith("Question:") and _has(asked[0]) != (False, False):
            return self._root(messages, asked)
        answers = _ANSWERS.search(last)
        if answers is not None and _TEXTS.search(last):
            return self._verdict(last[: answers.start()], answers[1], answers[2])
        return self._direct(*_parts(last))

    def _best(self, question: str, text: str, *, chosen: float = 1.0) -> list[str]:
        """Return the passages that answer, as they stand in the text; none where too few words stand together."""
        if _HEADER.match(text.lstrip()):
            _, *parts = _HEADER.split(text.lstrip())
            pieces = [[source, passage] for source, passage in zip(parts[::2], parts[1::2], strict=True)]
            found = best_of(pieces, question)
            return quotes_of(pieces, found) if found and found[0][1] >= chosen * self.min_share else []
        ranked = best_in(text, question)
        if not ranked or ranked[0][1] < chosen * self.min_share:
            return []
        return [text[start:end].strip() for start, end in together(ranked)]

    def _direct(self, question: str, text: str) -> str:
        quotes = self._best(question, text)
        if not quotes:
            return NO_ANSWER
        block = "\n".join(f"<quote>{quote}</quote>" for quote in quotes)
        return f"{' '.join(map(tidy, quotes))}\n<quotes>\n{block}\n</quotes>"

    def _sub_answer(self, prompt: str) -> str:
        """Answer in the text's own words, so that the code which asked can find them there."""
        quotes = self._best(*_parts(prompt), chosen=_CHOSEN)
        return " … ".join(" ".join(quote.split()) for quote in quotes) or NO_ANSWER

    def _verdict(self, prompt: str, first: str, second: str) -> str:
        """Judge which answer's words stand in the passages that answer the question best."""
        quotes = self._best(*_parts(prompt))
        found = " ".join(quotes).lower()
        shares = [_share(answer, found) for answer in (first, second)]
        block = "\n".join(f"<quote>{quote}</quote>" for quote in quotes)
        if max(shares) < _BORNE_OUT:
            return "NEITHER"
        word = "SAME" if min(shares) >= _BORNE_OUT else "A" if shares[0] > shares[1] else "B"
        return f"{word}\n<quotes>\n{block}\n</quotes>"

    def _root(self, messages: Sequence[Message], asked: list[str]) -> str:
        if asked[-1].startswith("Error:") or "\n\nError:\n" in asked[-1]:
            return f"FINAL: {NO_ANSWER}"  # it can't mend code
        told = [_SAMPLE.sub("", asked[0]), *asked[1:]]
        has_text, has_index = _has(asked[0])
        return root_code(
            _question(asked[0]),
            self.min_share,
            stage=next((text for text in reversed(told) if "FINAL_VAR: passages" in text or "llm_batch" in text), ""),
            said=[message["content"] for message in messages if message["role"] == "assistant"],
            heard=asked[1:],
            has_text=has_text,
            has_index=has_index,
        )

    def _last_call(self, asked: list[str]) -> str:
        """Answer from what code has printed: in the messages of the run, or all in this one."""
        seen = [text.partition("Output:\n")[2] or text.partition("printed so far:\n")[2] for text in asked]
        quotes = self._best(_question(asked[0]), "\n\n".join(text.partition("\n\nThe limit ")[0] for text in seen))
        return f"FINAL: {' '.join(map(tidy, quotes)) or NO_ANSWER}"


def _has(prompt: str) -> tuple[bool, bool]:
    """Whether a run has a text, and whether it has an index, by the lines of its first message that say so."""
    told = f"\n\n{_SAMPLE.sub('', prompt)}"
    return "\n\nMaterial:" in told, "\n\nCorpus: an index" in told


def _share(answer: str, text: str) -> float:
    words = words_of(answer)
    return sum(word in text for word in words) / len(words) if words else 0.0


def _question(prompt: str) -> str:
    found = _QUESTION.search(prompt)
    return found[1].strip() if found else prompt.strip()


def _parts(prompt: str) -> tuple[str, str]:
    """Return the question and the text of a prompt. A text may hold what looks like a question, so it is taken out first.

    Without tags, the first line that asks is the question and all else the text.
    """
    texts = _TEXTS.findall(prompt)
    if texts:
        rest = _TEXTS.sub("", prompt).strip()
        asked = _QUESTION.findall(rest) or [rest]
        return asked[0 if rest.startswith("Question:") else -1].strip(), "\n\n".join(texts)
    found = _QUESTION.search(prompt)
    if found:
        return found[1].strip(), prompt[: found.start()] + prompt[found.end() :]
    lines = prompt.strip().splitlines() or [""]
    asking = next((line for line in (lines[0], lines[-1]) if line.rstrip().endswith("?")), lines[0])
    return asking, prompt.replace(asking, "", 1)
