"""Calls any adapter, one of the user's own included, the same way."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pyrlm.adapters.base import Message, ModelResponse, Usage
from pyrlm.adapters.outages import failure
from pyrlm.adapters.signatures import plan_for
from pyrlm.errors import ConfigurationError, ModelError, PyRLMError
from pyrlm.foreign import tamed, without_stop
from pyrlm.redact import redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["accepts_option", "acomplete", "as_adapter", "astream", "check_adapter", "in_thread"]

_T = TypeVar("_T")

_MAX_THREADS = 256  # asyncio's own pool has six threads on a two-core machine, fewer than sub-calls at once


async def acomplete(
    adapter: Any, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
) -> ModelResponse:
    """Ask `adapter`: its `acomplete` where it has one, else its `complete` in a worker thread.

    Arguments go by place or by name, as its signature has them; one without a temperature is asked without one.

    Args:
        adapter: Any object of the protocols in `pyrlm.adapters.base`, or a name such as ``"openai:gpt-4.1"``.
        messages: Chat messages, oldest first.
        max_tokens: Most tokens that the reply may have.
        temperature: Sampling temperature; None leaves it to the provider.
        options: Passed on as they are.

    Returns:
        The reply, its usage read into a `Usage` (None where the provider sent none). A plain string that an adapter
        returns is taken as the text.

    Raises:
        ConfigurationError: `adapter` has neither method, doesn't take one of `options`, or returned another type.
        ContextLengthError: The adapter's exception says that the prompt is too long.
        ModelUnavailableError: It tells of an outage: by its class (`OSError` that is of no file, a connection error or
            time-out of an SDK), by an HTTP status, or in words.
        RateLimitError: It tells likewise of too many requests or a used-up quota.
        AuthenticationError: It tells likewise of a wrong key.
        ModelError: It raised anything else that is no error of pyrlm; its own exception is the cause.
    """
    adapter = as_adapter(adapter)
    call, is_async = _method(adapter)
    places, names = _arguments(adapter, call, (messages, max_tokens, temperature), options)
    try:
        if is_async:
            reply = call(*places, **names)
        else:
            reply = await in_thread(call, *places, **names)
        if inspect.isawaitable(reply):
            reply = await reply
    except PyRLMError:
        raise
    except BaseException as error:  # noqa: BLE001 - an adapter of the user's may raise anything
        failed = _failed(adapter, error)
    else:
        return _checked(adapter, reply)
    raise failed


async def astream(
    adapter: Any, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
) -> AsyncGenerator[str | ModelResponse, None]:
    """Ask `adapter`; yield the text of its reply as it comes, then the whole reply.

    An adapter without an `astream` of its own gives its text in one piece. Arguments and errors are those of
    `acomplete`. Close the generator (`contextlib.aclosing`) to end a reply early.
    """
    adapter = as_adapter(adapter)
    call = getattr(adapter, "astream", None)
    if not callable(call):
        reply = await acomplete(adapter, messages, max_tokens, temperature, **options)
        if reply.text:
            yield reply.text
        yield reply
        return
    places, names = _arguments(adapter, call, (messages, max_tokens, temperature), options)
    try:
        async with aclosing(call(*places, **names)) as items:
            async for item in items:
                yield item if isinstance(item, str) else _checked(adapter, item)
    except PyRLMError:
        raise
    except BaseException as error:  # noqa: BLE001
        failed = _failed(adapter, error)
    else:
        return
    raise failed


def _arguments(
    adapter: Any,
    call: Callable[..., Any],
    values: tuple[Sequence[Message], int, float | None],
    options: dict[str, Any],
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments of a call by place and by name, options included."""
    plan = plan_for(call)
    for name in options:
        if not plan.takes_option(name):
            raise ConfigurationError(
                f"{type(adapter).__name__} doesn't take the option {name!r}; add **options to its "
                f"{call.__name__}(messages, max_tokens, temperature)."
            )
    messages, max_tokens, temperature = values
    places, names = plan.arguments(messages=messages, max_tokens=max_tokens, temperature=temperature)
    return places, {**names, **options}


def as_adapter(model: Any) -> Any:
    """Return an adapter: a string such as ``"openai:gpt-4.1"`` is made into one, see `get_adapter`.

    Raises:
        ConfigurationError: It is neither, or a model of that name can't be asked here.
    """
    if isinstance(model, str):
        from pyrlm.adapters.presets import get_adapter  # noqa: PLC0415 - which needs this module

        return get_adapter(model)
    check_adapter(model)
    return model


def check_adapter(adapter: Any) -> None:
    """Raise `ConfigurationError` where `adapter` can't be asked."""
    if isinstance(adapter, type):
        raise ConfigurationError(
            f"adapter={adapter.__name__}: a class was given; pass an instance, {adapter.__name__}(…)."
        )
    if not any(callable(getattr(adapter, name, None)) for name in ("acomplete", "complete")):
        raise ConfigurationError(
            f"adapter={type(adapter).__name__}: expected an object with complete(messages, max_tokens, temperature) or an "
            'asynchronous acomplete of the same arguments; pyrlm.adapters.get_adapter("openai:gpt-4.1") makes one.'
        )
    call, _ = _method(adapter)
    plan = plan_for(call)
    if not (plan.takes("messages") and plan.takes("max_tokens")):
        missing = "max_tokens" if plan.takes("messages") else "messages"
        raise ConfigurationError(
            f"{type(adapter).__name__}.{getattr(call, '__name__', 'complete')} takes no {missing}: expected "
            "complete(messages, max_tokens, temperature); limits of tokens and money rest on the longest reply."
        )


def accepts_option(adapter: Any, name: str) -> bool:
    """Whether the method of `adapter` that is called takes an option of this name."""
    return plan_for(_method(adapter)[0]).takes_option(name)


def _method(adapter: Any) -> tuple[Callable[..., Any], bool]:
    """The method to call, and whether it may be called on the loop."""
    call = getattr(adapter, "acomplete", None)
    if callable(call):
        return call, True
    call = adapter.complete
    return call, inspect.iscoroutinefunction(call)


async def in_thread(call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    """Await a synchronous `call` in a worker thread, with the caller's context variables."""
    context = contextvars.copy_context()

    def work() -> _T:
        result: _T = context.run(without_stop, call, *arguments, **options)
        return result

    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), work)


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 - the key: a forked process has none of its parent's threads
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only synchronous adapters need it

    return ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="pyrlm-model")


def _wrapped(adapter: Any, error: Exception) -> ModelError:
    text = redact(f"{type(adapter).__name__} failed: {type(error).__name__}: {error}")
    model = getattr(adapter, "model", None)
    name = model if isinstance(model, str) else None
    return failure(text, said=f"{type(error).__name__}: {error}", error=error, model=name)


def _failed(adapter: Any, error: BaseException) -> ModelError:
    """The error that stands for what an adapter has raised.

    That is its cause, unless it holds a secret, which a traceback would print. To be raised where `error` is no longer
    being handled: it would be its context all the same.
    """
    failed = _wrapped(adapter, tamed(type(adapter).__name__, error))
    failed.__cause__ = error if redact(str(error)) == str(error) else None
    return failed


def _checked(adapter: Any, reply: Any) -> ModelResponse:
    if isinstance(reply, str):
        return ModelResponse(reply)
    if not isinstance(reply, ModelResponse):
        raise ConfigurationError(
            f"{type(adapter).__name__} returned {type(reply).__name__}; expected pyrlm.adapters.ModelResponse(text, usage=…) "
            "or a string."
        )
    if reply.usage is None or isinstance(reply.usage, Usage):
        return reply
    return replace(reply, usage=Usage.parse(reply.usage))
