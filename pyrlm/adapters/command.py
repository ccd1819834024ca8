"""Any model that is a command: the prompt goes in, the reply is what it prints."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pyrlm.adapters.base import ModelResponse, tell_loss
from pyrlm.adapters.completion import without_thinking
from pyrlm.adapters.identity import code_digest, digest
from pyrlm.adapters.outages import failure
from pyrlm.adapters.parameters import check_rate_limit, check_seconds
from pyrlm.adapters.processes import Ended, TooMuchOutput, run
from pyrlm.adapters.rate_limit import limiter_for
from pyrlm.errors import (
    BadReplyError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
)
from pyrlm.redact import redact
from pyrlm.secret_names import register_named
from pyrlm.secret_values import register_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyrlm.adapters.base import Message
    from pyrlm.adapters.rate_limit import RateLimit
    from pyrlm.pricing import Price

__all__ = ["CommandAdapter", "render"]

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Environment variables that a command gets by itself: where programs and their settings are, no keys."""

_TAIL_CHARS = 500
_INPUTS = ("stdin", "argument")


class CommandAdapter:
    """A model on the command line, such as ``CommandAdapter(["claude", "-p"])`` or ``CommandAdapter(["llm", "-m", "x"])``.

    Each call starts the command anew, in a process group of its own and without a shell. The group is killed when the
    time is over or the call is cancelled. `max_tokens`, `temperature` and options can't be passed on: commands have no
    common way to take them. Usage is counted by pyrlm, unless `response_parser` finds it in the output.

    The command runs with your rights, outside of every sandbox, and its prompt holds text from documents. Give an agent
    the options that turn its tools off.

    Args:
        command: The program and its arguments.
        timeout: Seconds that one call may take (default 300).
        input: ``"stdin"`` (default): the prompt is written to its standard input. ``"argument"``: it is the last
            argument; the system limits its length (Linux: 128 KiB).
        env: Environment variables to set, keys among them.
        inherit_env: Names of further variables that it takes over from this process. It has those of `env`, these, and
            PATH, HOME, USER, LOGNAME, LANG, LC_ALL, LC_CTYPE, TZ and TMPDIR; no other.
        cwd: Folder that it runs in (default: the current one).
        response_parser: ``response_parser(output)`` returns a `ModelResponse` or the text, from what was printed
            (default: all of it, without white space around it).
        model: Name of the model, for errors, prices and the cache key (default: the program's name).
        context_window: Tokens that the model takes in.
        price: What a million tokens cost (default: looked up by name).
        rate_limit: Calls and concurrency that this command is limited to, over all runs of the process.

    Raises:
        ConfigurationError: The program is not found, or an argument can't be used.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float = 300.0,
        input: Literal["stdin", "argument"] = "stdin",  # noqa: A002 - the word that every tool has for it
        env: Mapping[str, str] | None = None,
        inherit_env: Sequence[str] = (),
        cwd: str | Path | None = None,
        response_parser: Callable[[str], ModelResponse | str] | None = None,
        model: str | None = None,
        context_window: int | None = None,
        price: Price | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._command = _checked_command(command)
        if input not in _INPUTS:
            raise ConfigurationError(f"input={input!r}: expected one of {', '.join(_INPUTS)}.")
        if isinstance(inherit_env, str):
            raise ConfigurationError(f"inherit_env={inherit_env!r}: expected a list of names; write [{inherit_env!r}].")
        check_seconds(timeout=timeout)
        check_rate_limit(rate_limit)
        self.model = model or Path(command[0]).name
        self.endpoint = f"command:{Path(command[0]).name}"
        self.context_window = context_window
        self.price = price
        self.rate_limit = rate_limit
        self.default_options = {"command": list(command)}  # what is asked, for the cache's key and for durable runs
        self._given = dict(env or {})
        self._inherited = (*INHERITED, *inherit_env)
        self._set_names = frozenset({*self._given, *inherit_env})
        self._timeout, self._input, self._parse = float(timeout), input, response_parser
        self._cwd = str(cwd) if cwd is not None else None
        self._env()  # a file of a run is read before the first call, and keys are restored in it

    def __repr__(self) -> str:
        return f"CommandAdapter({self._command[0]!r}, model={self.model!r})"

    def cache_identity(
        self,
        messages: Sequence[Message],  # noqa: ARG002 - the same for every request
        max_tokens: int,  # noqa: ARG002
        temperature: float | None = None,  # noqa: ARG002
    ) -> dict[str, str]:
        """What can change the answer to a request: environment and folder of the command, how it is asked and read."""
        set_ones = {name: value for name, value in self._env().items() if name in self._set_names}
        return {
            "env": digest(set_ones),
            "cwd": str(Path(self._cwd or ".").absolute()),
            "input": self._input,
            "response_parser": code_digest(self._parse),
        }

    async def acomplete(
        self,
        messages: Sequence[Message],
        max_tokens: int,  # noqa: ARG002 - commands have no common way to take it
        temperature: float | None = None,  # noqa: ARG002
    ) -> ModelResponse:
        """Run the command on `messages`, rendered by `render`.

        Raises:
            ContextLengthError: The command failed and says that the prompt is too long, or the system says so.
            ModelUnavailableError: The command could not be started, the time was over, or it failed and tells of an outage.
            RateLimitError: It failed and tells of a limit or a used-up quota.
            AuthenticationError: It failed and says that it is not logged in, or has a wrong key.
            ModelError: It ended with another exit code than 0; the message holds the end of its standard error.
            BadReplyError: It printed no text, or more than a reply can have.
        """
        prompt = render(messages)
        limiter = limiter_for(self.rate_limit, self.endpoint)
        tokens = len(prompt.encode(errors="replace")) // 4
        async with limiter.slot(tokens) if limiter is not None else nullcontext():
            ended = await self._run(prompt)
        if ended.code != 0:
            raise self._failed(ended)
        return self._read(ended)

    async def _run(self, prompt: str) -> Ended:
        as_argument = self._input == "argument"
        command = [*self._command, prompt] if as_argument else self._command
        typed = b"" if as_argument else prompt.encode(errors="replace")
        try:
            return await run(command, typed, env=self._env(), cwd=self._cwd, seconds=self._timeout)
        except TimeoutError:
            tell_loss()
            told = f"{self!r}: no complete reply within {self._timeout:g} s (timeout); it was killed"
            raise ModelUnavailableError(told, model=self.model) from None
        except TooMuchOutput as problem:
            tell_loss()
            raise BadReplyError(f"{self!r}: {problem}; it was killed", model=self.model) from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
            if isinstance(error, OSError) and error.errno == errno.E2BIG:
                told = f"{self!r}: the prompt is too long for an argument of a command; use input='stdin'"
                raise ContextLengthError(told, model=self.model) from None
            told = redact(f"{self!r} could not be started: {error}")
            raise ModelUnavailableError(told, model=self.model) from None

    def _env(self) -> dict[str, str]:
        taken = {name: os.environ[name] for name in self._inherited if name in os.environ}
        wanted = {**taken, **self._given}
        register_named(wanted)
        return wanted

    def _failed(self, ended: Ended) -> ModelError:
        said = redact(ended.error.strip() or ended.output.strip())
        tail = said if len(said) <= _TAIL_CHARS else f"…{said[-_TAIL_CHARS:]}"
        how = f"ended with exit code {ended.code}" if ended.code >= 0 else f"was ended by signal {-ended.code}"
        told = f"{self!r} {how}: {tail or '(it said nothing)'}"
        return failure(told, said=said, model=self.model)

    def _read(self, ended: Ended) -> ModelResponse:
        if self._parse is None:
            return ModelResponse(ended.output.strip(), model=self.model)
        try:
            reply = self._parse(ended.output)
        except Exception as error:  # noqa: BLE001 - a function of the user's may raise anything
            tell_loss(ended.output)
            shown = redact(f"{type(error).__name__}: {error}; the output begins with {ended.output[:_TAIL_CHARS]!r}")
            raise BadReplyError(f"{self!r}: response_parser failed: {shown}", model=self.model) from None
        if isinstance(reply, str):
            return ModelResponse(reply, model=self.model)
        if not isinstance(reply, ModelResponse):
            raise ConfigurationError(
                f"response_parser returned {type(reply).__name__}; expected a ModelResponse or a string."
            )
        return reply


def render(messages: Sequence[Message]) -> str:
    """Chat messages as one plain text.

    System messages come first. A single message after them stands as it is; of a conversation each stands below a line
    that says whose it is, and the last line asks for the assistant's next message.
    """
    spoken = [message for message in without_thinking(messages) if message["role"] not in {"system", "developer"}]
    texts = [message["content"] for message in messages if message["role"] in {"system", "developer"}]
    if len(spoken) == 1:
        texts.append(spoken[0]["content"])
    elif spoken:
        texts += [f"[{message['role']}]\n{message['content']}" for message in spoken]
        texts.append("[Write the assistant's next message, without this heading.]")
    return "\n\n".join(texts)


def _checked_command(command: Sequence[str]) -> list[str]:
    if isinstance(command, str) or not command or not all(isinstance(part, str) for part in command):
        given = f"a {type(command).__name__}" if command else "nothing"
        raise ConfigurationError(
            f'command: expected a list of the program and its arguments, all strings, such as ["claude", "-p"]; no shell '
            f"reads it. Given was {given}."
        )
    register_arguments(command[1:])
    found = shutil.which(command[0])
    if found is None:
        raise ConfigurationError(f"command: the program {command[0]!r} is not found on PATH.")
    return [str(Path(found).absolute()), *command[1:]]
