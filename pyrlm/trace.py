"""The record of a run: every event with its tokens, cost and time, in memory and, if wanted, in a JSON Lines file."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TextIO

from pyrlm.adapters.base import Usage
from pyrlm.errors import ConfigurationError
from pyrlm.events import SCHEMA_VERSION, EventListener, StepKind, TraceStep
from pyrlm.foreign import tamed
from pyrlm.redact import redact
from pyrlm.repl.wire import decode
from pyrlm.trace_file import RunLines, open_trace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Recorder", "Trace"]

_log = logging.getLogger("pyrlm")

_HALVES = re.compile("[\ud800-\udfff]")

_MAX_TEXT = 20_000
"""Characters of one text field that a trace keeps: enough to read, bounded whatever a model or a document holds."""

PAID_KINDS = frozenset({"root_call", "subcall", "sub_root_call", "sub_subcall", "direct_call", "last_call"})
"""Kinds of steps that are model calls."""


@dataclass(slots=True)
class Trace:
    """The events of a run, in order.

    Attributes:
        steps: One `TraceStep` an event.
    """

    steps: list[TraceStep] = field(default_factory=list)

    def __iter__(self) -> Iterator[TraceStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def usage(self) -> Usage:
        """Tokens of all calls together."""
        return sum((step.usage for step in self.calls if step.usage), Usage())

    @property
    def value(self) -> Any:
        """The run's final value, as the REPL held it; None where the run has not ended, or the value was left out."""
        for step in reversed(self.steps):
            if step.kind == "run_finished" and step.depth == 0:
                return decode(step.data["value"]) if "value" in step.data else step.output or None
        return None

    @property
    def calls(self) -> list[TraceStep]:
        """The steps that are model calls; cache hits are none."""
        return [step for step in self.steps if step.kind in PAID_KINDS]

    def of_kind(self, *kinds: StepKind) -> list[TraceStep]:
        """Return the steps of these kinds."""
        return [step for step in self.steps if step.kind in kinds]

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the trace as one JSON object: ``{"schema_version": 1, "steps": [...]}``."""
        document = {"schema_version": SCHEMA_VERSION, "steps": [_to_dict(step) for step in self.steps]}
        text = json.dumps(document, ensure_ascii=False, indent=indent)
        # Half a surrogate pair, as broken text holds it, can be written to no file: it stays escaped.
        return text if text.isascii() else _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Read what `to_json` wrote, or the JSON Lines of a trace file (a last line that was cut is left out).

        Raises:
            ConfigurationError: The text is neither.
        """
        try:
            document = json.loads(text)
        except ValueError:
            return cls.from_json_lines(text.splitlines())
        if not isinstance(document, dict):
            raise ConfigurationError(
                f"Trace.from_json: expected an object with 'steps', got {type(document).__name__}."
            )
        steps = document.get("steps", [document])
        return cls([_from_dict(step) for step in steps])

    @classmethod
    def from_json_lines(cls, lines: Sequence[str], *, run: int | None = None) -> Trace:
        """Read the lines of a trace file. A run that was killed leaves at most its last line cut; that one is left out.

        Args:
            lines: The lines.
            run: Number of one run, of a file that `SmartRouter.run_many` has written; None: all lines.
        """
        steps: list[TraceStep] = []
        filled = [line for line in lines if line.strip()]
        for number, line in enumerate(filled, 1):
            try:
                raw = json.loads(line)
                if run is None or (isinstance(raw, dict) and raw.get("run") == run):
                    steps.append(_from_dict(raw))
            except ValueError as error:
                if number < len(filled) or number == 1:
                    raise ConfigurationError(f"Trace: line {number} is no JSON object of a trace: {error}.") from None
        return cls(steps)


def _to_dict(step: TraceStep) -> dict[str, Any]:
    """Return the fields that say something; what is absent has its default when read back."""
    result: dict[str, Any] = {"schema_version": step.schema_version}
    for item in fields(step):
        value = getattr(step, item.name)
        if item.name == "usage" and value is not None:
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        if value is not None and value != {}:
            result[item.name] = value
    return result


def _from_dict(raw: object) -> TraceStep:
    if not isinstance(raw, dict) or "kind" not in raw or "step_id" not in raw:
        raise ConfigurationError("Trace: a step needs 'step_id' and 'kind'; this is no trace of pyrlm.")
    known = {item.name for item in fields(TraceStep)}
    values = {name: value for name, value in raw.items() if name in known}
    if isinstance(values.get("usage"), dict):
        names = {item.name for item in fields(Usage)}
        values["usage"] = Usage(**{name: value for name, value in values["usage"].items() if name in names})
    return TraceStep(**values)


class Recorder:
    """Writes the events of one run: numbers them, takes secrets out, hands them to trace, file and listeners.

    Args:
        listener: Called for every event. What it raises is logged, never passed on: a view must not end a run.
        path: JSON Lines file, one line an event, written and flushed as it happens. Replaced where it exists. Or what
            `pyrlm.trace_file.SharedFile` gives a run, where several write into one file.
        trace: Trace to add to; a new one by default.
    """

    def __init__(
        self,
        listener: EventListener | None = None,
        path: str | Path | RunLines | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.trace = trace if trace is not None else Trace()
        self._listener = listener
        self._lock = threading.Lock()
        self._file: TextIO | RunLines | None = None
        if path is not None:
            self._file = path if isinstance(path, RunLines) else open_trace(path)

    def record(self, kind: StepKind, **values: Any) -> TraceStep:
        """Record an event; `values` are the fields of `TraceStep` but for its number and time."""
        with self._lock:
            step = TraceStep(step_id=len(self.trace.steps) + 1, kind=kind, time=time.time(), **_clean(values))
            self.trace.steps.append(step)
            self._write(step)
        if self._listener is not None:
            try:
                self._listener(step)
            except BaseException as error:  # noqa: BLE001 - a view may raise anything, and must not end a run
                tamed("the listener", error)
                _log.exception("An event listener failed at step %d (%s); the run goes on.", step.step_id, step.kind)
        return step

    def branch(self, depth: int, parent: int | None) -> Recorder:
        """Return a recorder for a sub-agent: its events join these, at its `depth`, under the step `parent`."""
        return _Branch(self, depth, parent)

    def close(self) -> None:
        """Close the file, where there is one."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, step: TraceStep) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(_to_dict(step), ensure_ascii=True) + "\n")
            self._file.flush()
        except OSError as error:
            _log.warning("The trace file can't be written any more (%s); the run goes on without it.", error)
            self._file = None


_IN_BRANCH: Mapping[StepKind, StepKind] = {
    "run_started": "recursive_subcall",
    "root_call": "sub_root_call",
    "subcall": "sub_subcall",
    "repl_exec": "sub_repl_exec",
}


class _Branch(Recorder):
    """Records for a sub-agent what it does like a run, by the names of a sub-agent."""

    def __init__(self, recorder: Recorder, depth: int, parent: int | None) -> None:
        self.trace = recorder.trace
        self._base = recorder
        self._depth = depth
        self._parent = parent

    def record(self, kind: StepKind, **values: Any) -> TraceStep:
        if values.get("parent") is None:
            values["parent"] = self._parent
        step = self._base.record(_IN_BRANCH.get(kind, kind), **{**values, "depth": self._depth})
        if kind == "run_started":
            self._parent = step.step_id
        return step

    def branch(self, depth: int, parent: int | None) -> Recorder:
        return _Branch(self._base, depth, parent)

    def close(self) -> None:
        """Nothing: the file is the run's."""


_TEXTS = ("prompt", "output", "code", "stdout", "error", "reason")
_PLAIN = frozenset({int, float, bool, type(None)})


def _clean(values: dict[str, Any]) -> dict[str, Any]:
    """Take secrets out and cut long texts, so that a trace is safe to keep and to show."""
    for name in _TEXTS:
        text = values.get(name)
        if text:
            values[name] = _shorten(redact(text))
    if values.get("data"):
        values["data"] = _clean_data(values["data"])
    return values


def _shorten(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out of the trace …\n{text[-half:]}"


def _clean_data(value: Any) -> Any:
    if type(value) is dict:  # most of what is recorded: numbers under names
        return {
            key if type(key) is str else str(key): item if type(item) in _PLAIN else _clean_data(item)
            for key, item in value.items()
        }
    if isinstance(value, str):
        return _shorten(redact(value))
    if isinstance(value, Mapping):
        return {str(key): _clean_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_data(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shorten(redact(str(value)))
