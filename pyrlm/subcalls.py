"""Sub-calls: the functions by which model-written code asks smaller models about pieces of the text."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm import arguments
from pyrlm.calls import Call, Caller, Reply
from pyrlm.errors import (
    ContextLengthError,
    ModelError,
    PolicyError,
)
from pyrlm.prompts import NO_ANSWER, question_prompt, sub_messages
from pyrlm.replies import is_abstention
from pyrlm.replies_said import without_thinking
from pyrlm.subcall_data import ask_for_data, schema_given
from pyrlm.subcall_options import SubCallOptions, failed
from pyrlm.subcall_tally import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pyrlm.adapters.base import Message
    from pyrlm.coverage import Coverage
    from pyrlm.models import Model
    from pyrlm.output import OutputSchema
    from pyrlm.repl.protocol import HostFunction

__all__ = ["SubCallOptions", "SubCalls", "failed"]

_RETRY_FACTOR = 2
"""A cut reply is asked for again once, with this many times the room."""

_CHARS_PER_TOKEN = 3
"""Characters a token that the advertised size of a sub-call assumes: low for English, so that most texts fit."""

_MAX_SUB_CHARS = 300_000
"""Most characters that the prompt advertises for one sub-call: models read long pieces worse than several short ones
(RULER, NoLiMa: see `RouterConfig`)."""


class SubCalls(Tally):
    """The sub-calls of one run.

    Args:
        caller: Makes the calls.
        model: The sub-model.
        options: How.
        coverage: Told what the sub-models read.
        models: Further models that code may name by `model=`.

    Attributes:
        in_place: Takes a prompt that is too long for one call, the schema, and the model where code names one; None where
            such a prompt is refused.
    """

    def __init__(
        self,
        caller: Caller,
        model: Model,
        options: SubCallOptions,
        coverage: Coverage | None,
        models: Mapping[str, Model],
    ) -> None:
        self._caller = caller
        self._model = model
        self._options = options
        self._coverage = coverage
        self._models = dict(models)
        super().__init__(caller.recorder)
        self._slots = asyncio.Semaphore(caller.limit)
        self.in_place: Callable[[str, OutputSchema | None, Model | None], Awaitable[Any]] | None = None

    @property
    def chars(self) -> int:
        """Characters that one sub-call takes, as the prompt tells it."""
        tokens = self._model.window.input_limit - self._options.max_tokens - 500
        return max(2_000, min(_MAX_SUB_CHARS, tokens * _CHARS_PER_TOKEN))

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses."""
        functions: dict[str, HostFunction] = {
            "llm_query": self.llm_query,
            "llm_batch": self.llm_batch,
            "llm_query_batched": self.llm_batch,
            "llm_query_batch": self.llm_query_batch,
            "ask": self.ask,
            "ask_chunks": self.ask_chunks,
            "ask_chunks_first": self.ask_chunks_first,
        }
        return functions

    async def llm_query(
        self, text: str, model: str | None = None, max_tokens: int | None = None, schema: Any = None
    ) -> Any:
        """Ask the sub-model `text`; return its answer, with a schema as data, or ``[sub-call failed: reason]``.

        A dict or list as second argument is the schema; see `pyrlm.simple_schema` for its forms.
        """
        self.check_open("llm_query")
        model, form = schema_given(model, schema)
        prompt = arguments.text(text, "llm_query(text)")
        return await self._one(prompt, self.named(model), arguments.cap(max_tokens), form)

    async def llm_batch(
        self, prompts: Sequence[str], model: str | None = None, max_tokens: int | None = None, schema: Any = None
    ) -> list[Any]:
        """Ask all `prompts` side by side; return the answers in their order, a failed one as its error."""
        return await self._batch("llm_batch", prompts, model, max_tokens, parallel=True, schema=schema)

    async def llm_query_batch(
        self,
        chunks: Sequence[str],
        model: str | None = None,
        max_tokens: int | None = None,
        parallel: bool | None = None,
        schema: Any = None,
    ) -> list[Any]:
        """Ask all `chunks`, side by side unless `parallel` is False; return the answers in their order."""
        return await self._batch("llm_query_batch", chunks, model, max_tokens, parallel=parallel, schema=schema)

    async def ask(self, question: str, text: str, max_tokens: int | None = None) -> str:
        """Ask `question` about one piece of text; return the answer, or ``NO_ANSWER``."""
        self.check_open("ask")
        prompt = question_prompt(arguments.text(question, "ask(question)"), arguments.text(text, "ask(text)"))
        return str(await self._one(prompt, self._model, arguments.cap(max_tokens)))

    async def ask_chunks(
        self, question: str, chunks: Sequence[str], max_tokens: int | None = None, parallel: bool | None = None
    ) -> list[str]:
        """Ask `question` about each piece; return the answers in their order, ``NO_ANSWER`` where a piece has none."""
        prompts = [
            question_prompt(arguments.text(question, "ask_chunks(question)"), c)
            for c in arguments.texts(chunks, "ask_chunks(chunks)")
        ]
        return await self._batch("ask_chunks", prompts, None, max_tokens, parallel=parallel)

    async def ask_chunks_first(self, question: str, chunks: Sequence[str], max_tokens: int | None = None) -> str:
        """Ask `question` about one piece after the other and stop at the first answer; ``NO_ANSWER`` if none has one."""
        self.check_open("ask_chunks_first")
        for chunk in arguments.texts(chunks, "ask_chunks_first(chunks)"):
            answer = await self.ask(question, chunk, max_tokens)
            if not is_abstention(answer) and not answer.startswith(failed("")[:-1]):
                return answer
            if self.limit_met is not None:
                return answer
        return NO_ANSWER

    async def _batch(
        self,
        name: str,
        prompts: Sequence[str],
        model: str | None,
        max_tokens: int | None,
        *,
        parallel: bool | None,
        schema: Any = None,
    ) -> list[Any]:
        self.check_open(name)
        texts = arguments.texts(prompts, f"{name}(prompts)")
        model, form = schema_given(model, schema)
        chosen, cap = self.named(model), arguments.cap(max_tokens)
        if parallel is None:
            parallel = self._options.parallel
        if parallel:
            return list(await asyncio.gather(*(self._one(text, chosen, cap, form) for text in texts)))
        return [await self._one(text, chosen, cap, form) for text in texts]

    async def _one(self, prompt: str, model: Model, max_tokens: int | None, schema: OutputSchema | None = None) -> Any:
        """Make one sub-call. Whatever goes wrong with the model or the limits becomes its answer."""
        if self.in_place is None:
            return await self._in_one_call(prompt, model, max_tokens, schema)
        if not self._too_long(prompt, model):
            try:
                return await self._in_one_call(prompt, model, max_tokens, schema)
            except ContextLengthError:  # of a model whose window is not known, or smaller than it is said to be
                pass
        return await self.in_place(prompt, schema, None if model is self._model else model)

    async def _in_one_call(self, prompt: str, model: Model, max_tokens: int | None, schema: OutputSchema | None) -> Any:
        async with self._slots:
            if schema is None or not prompt.strip():
                return await self._answered(sub_messages(prompt), model, max_tokens)
            return await ask_for_data(
                lambda asked, fits: self._answered(asked, model, max_tokens, fits), prompt, schema
            )

    async def _answered(
        self,
        messages: Sequence[Message],
        model: Model,
        max_tokens: int | None,
        fits: Callable[[str], bool] | None = None,
    ) -> str:
        problem = self._refused("\n".join(message["content"] for message in messages[1:]), model)
        if problem:
            return failed(problem)
        self.stage_made += 1
        return await self._made(messages, model, max_tokens, fits)

    async def _made(
        self, messages: Sequence[Message], model: Model, max_tokens: int | None, fits: Callable[[str], bool] | None
    ) -> str:
        def says_enough(text: str) -> bool:
            said = without_thinking(text)
            return bool(said) and (fits is None or fits(said))

        call = Call(
            messages=messages,
            purpose="subcall",
            kind="subcall",
            max_tokens=max_tokens or self._options.max_tokens,
            temperature=self._options.temperature,
            parent=self.parent,
            cached=True,
            fits=says_enough,
        )
        try:
            reply = await self._whole(model, call) if max_tokens is None else await self._caller.ask(model, call)
        except PolicyError as error:
            self.note_limit(error)
            return failed(f"{error}")
        except ModelError as error:
            if isinstance(error, ContextLengthError) and self.in_place is not None:
                raise
            self.note_failure(model, error)
            hint = f"; cut it with ctx.chunk({self.chars})" if isinstance(error, ContextLengthError) else ""
            return failed(f"{error}{hint}")
        self.note_answer(model)
        if self._coverage is not None:
            self._coverage.add(messages[1]["content"])
        return self._answer(reply)

    async def _whole(self, model: Model, call: Call) -> Reply:
        """Return a reply; one that was cut is asked for again once with more room, and the longer one counts."""
        reply = await self._caller.ask(model, call)
        if not reply.cut or reply.max_tokens < call.max_tokens:  # where the budget cut it, there is no more room
            return reply
        try:
            again = await self._caller.ask(model, replace(call, max_tokens=call.max_tokens * _RETRY_FACTOR))
        except (PolicyError, ModelError):
            return reply
        return again if len(without_thinking(again.text)) >= len(without_thinking(reply.text)) else reply

    def _answer(self, reply: Reply) -> str:
        text = without_thinking(reply.text).strip()
        if not text:
            why = (
                f"the reply was cut at {reply.max_tokens} tokens, before any text"
                if reply.cut
                else "the reply was empty"
            )
            return failed(f"refused: {reply.response.refusal}" if reply.response.refusal else why)
        return f"{text} [reply cut at {reply.max_tokens} tokens]" if reply.cut else text

    def _refused(self, prompt: str, model: Model) -> str:
        """Why this call is not made at all; empty where it is."""
        if self.used_up():
            return self.used_up()
        if not prompt.strip():
            return "the prompt was empty"
        if self.given_up(model):
            return self.given_up(model)
        tokens = self._too_long(prompt, model)
        if not tokens:
            return ""
        return (
            f"the prompt has about {tokens:,} tokens, {model.name} takes {model.window.input_limit:,}; "
            f"cut it with ctx.chunk({self.chars})"
        )

    @staticmethod
    def _too_long(prompt: str, model: Model) -> int:
        """Tokens of a prompt that `model` can't take; 0 for one that it can, or where its window is not known."""
        window = model.window
        if window.source == "unknown" or len(prompt) <= window.input_limit:
            return 0
        tokens = model.counter.count(prompt)
        return tokens if tokens > window.input_limit else 0

    def named(self, model: str | None) -> Model:
        """Return the model of this name, the usual one for None; raises ValueError where there is none."""
        if model is None:
            return self._model
        if model not in self._models:
            known = ", ".join(sorted(self._models)) or "none; leave model= out"
            raise ValueError(f"model={model!r} is not one of this run's sub-models: {known}")
        return self._models[model]
