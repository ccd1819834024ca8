"""May this answer end the run? Pure checks on what the run has seen; each objection is a message to the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.prompts_data import misfit
from pyrlm.replies import is_abstention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.citations import Citation
    from pyrlm.stages import Stage

__all__ = ["Candidate", "Facts", "Stall", "better", "is_grounded", "objection", "words_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer that the model proposes.

    Attributes:
        value: The answer, as the REPL held it, or as text.
        text: The answer as a string.
        quotes: Passages that it is said to rest on.
        missing: Those of them that are not in the text.
        citations: Where the others stand.
        literal: Written out by the model, not computed by code.
        typed: Whether it fits the run's schema: `value` is the typed object, `text` its JSON.
        misfit: Why it does not fit the schema; empty where it does, and without a schema.
        said: Its words without the schema's own; empty without a schema.
        beside: Print-out of the code of the same reply; None where there was none.
    """

    value: Any
    text: str
    quotes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    literal: bool = True
    typed: bool = False
    misfit: str = ""
    said: str = ""
    beside: str | None = None

    @property
    def abstains(self) -> bool:
        """Whether it says that there is no answer."""
        return not self.typed and (self.value is None or isinstance(self.value, str)) and is_abstention(self.text)

    def stands_in(self, seen: str) -> bool:
        """Whether its words stand in a print-out."""
        return words_in(self.said or self.text, seen)


def better(candidate: Candidate | None, best: Candidate | None) -> Candidate | None:
    """Return the later of two answers, but for one that is empty or that alone does not fit the schema."""
    if candidate is None or not candidate.text.strip():
        return best
    return best if candidate.misfit and best is not None and not best.misfit else candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the run has done so far, as far as the checks ask.

    Attributes:
        executions: Pieces of code that were run.
        subcalls: Sub-calls that gave an answer, cache hits included.
        subcalls_over: Whether no further sub-call can be made.
        quotes_objected: Whether missing quotes were objected to before.
        require_repl: Option `require_repl_before_final`.
        require_subcall: Option `require_subcall_before_final`.
        stage: The stage that the run is in.
    """

    executions: int
    subcalls: int
    subcalls_over: bool
    quotes_objected: bool
    require_repl: bool
    require_subcall: bool
    stage: Stage


def objection(candidate: Candidate, facts: Facts) -> tuple[str, str] | None:
    """Return why the answer is turned back, as ``(name, message to the model)``; None where it stands."""
    if not candidate.text.strip():
        return "empty", "The final answer is empty. Give the answer, or FINAL: NO_ANSWER."
    return _too_early(candidate, facts) or _not_borne_out(candidate, facts)


def _too_early(candidate: Candidate, facts: Facts) -> tuple[str, str] | None:
    if facts.require_repl and not facts.executions:
        return "no code run", "No code has run yet. Look at the material with code first, then give FINAL."
    needs_subcall = facts.require_subcall or facts.stage.require_subcalls
    if needs_subcall and not facts.subcalls and not facts.subcalls_over:
        return "no sub-call", (
            "No sub-call was made yet. Cut the text into pieces, ask about them with llm_batch or ask_chunks, combine the "
            "answers, then give FINAL."
        )
    if candidate.misfit and not facts.stage.hands_over:
        return "schema", misfit(candidate.misfit)
    return None


def _not_borne_out(candidate: Candidate, facts: Facts) -> tuple[str, str] | None:
    if candidate.literal and candidate.beside is not None and not candidate.stands_in(candidate.beside):
        return "unseen output", (
            "The code ran; its output is above. You gave FINAL in the same reply, before you saw it. Confirm or correct "
            "the answer: FINAL: …"
        )
    if candidate.missing and not facts.quotes_objected:
        shown = "\n".join(f"- {quote[:200]}" for quote in candidate.missing[:5])
        return "false quotes", (
            f"These quotes are not in the text, word for word:\n{shown}\n"
            "Check the answer with code. Then give it again with quotes copied from print-out, or without them."
        )
    return None


_TOKEN = re.compile(r"\d+(?:[.,:/-]\d+)*|[^\W\d_]{2,}", re.UNICODE)
_SHARE_OF_WORDS = 0.8
_MIN_WORD = 4


def words_in(answer: str, seen: str) -> bool:
    """Whether an answer's words stand in a print-out: the whole of it, or all its numbers and most of its long words."""
    folded, text = " ".join(answer.split()).casefold(), " ".join(seen.split()).casefold()
    if folded and folded in text:
        return True
    tokens = _TOKEN.findall(folded)
    numbers = [token for token in tokens if token[0].isdigit()]
    words = [token for token in tokens if not token[0].isdigit() and len(token) >= _MIN_WORD]
    if not numbers and not words:
        return False
    present = set(_TOKEN.findall(text))
    found = sum(word in present for word in words)
    return all(number in present for number in numbers) and found >= _SHARE_OF_WORDS * len(words)


def is_grounded(candidate: Candidate, printed: Sequence[str]) -> bool:
    """Whether an answer rests on the text: on quotes that are all there, or on words that code has printed of it.

    A value that code computed without a model counts as grounded unless it abstains.
    """
    if candidate.abstains or not candidate.text.strip():
        return False
    if candidate.quotes and not candidate.missing:
        return True
    return not candidate.literal or any(candidate.stands_in(output) for output in printed)


@dataclass(slots=True)
class Stall:
    """Notices a model that does the same thing again and again.

    Attributes:
        repeats: Times in a row that the last code had the last outcome, the first one not counted.
    """

    repeats: int = 0
    _last: tuple[str, str] | None = None

    WARN_AT = 1
    STOP_AT = 4

    def note(self, code: str, outcome: str) -> str:
        """Take in an execution; return what to tell the model, an empty string mostly."""
        now = (code, outcome)
        self.repeats = self.repeats + 1 if now == self._last else 0
        self._last = now
        if self.repeats < self.WARN_AT:
            return ""
        return (
            "You ran this very code before, with the same outcome. Do something else, or give FINAL with what you have."
        )

    @property
    def stuck(self) -> bool:
        """Whether the run should end."""
        return self.repeats >= self.STOP_AT
