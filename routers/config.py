"""Every threshold of the router in one frozen record, each with the source of its default."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError
from pyrlm.routers.prediction import recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.pricing import Price
    from pyrlm.routers.prediction import RecordedRun
    from pyrlm.routers.result import RouterResult

__all__ = ["RouterConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """What the router decides by. Defaults are priors with a source; numbers of one's own overrule them.

    Attributes:
        context_window: Tokens that the model takes, prompt and reply together; overrules what is known of the model.
        baseline_threshold: Characters. Where given it overrules every other size: a text of at most so many is
            answered by `baseline`, a longer one never is.
        direct_tokens: Any query is one call up to here, by the upper estimate (S-NIAH at 4K: a direct call 100 %, an
            RLM 85-90 % and 25-120 times slower, arXiv 2603.02615).
        literal_tokens: Literal look-ups are one call up to here (RULER, arXiv 2404.06654: half of 64K).
        literal_window_share: … and up to this share of the window (RULER's table: median of effective to claimed
            window over 34 models).
        semantic_tokens: Look-ups by meaning are one call up to here (NoLiMa, arXiv 2502.05167: at 4K the median model
            keeps 76 %; Chroma, "Context rot", 2025).
        aggregate_tokens: Aggregates, labels for each entry and multi-hop questions are one call up to here (the RLM
            paper, arXiv 2512.24601: beyond 2^14 tokens the loop beats the model).
        soft_tokens: Summaries and queries of unknown kind are one call up to here (RULER: strong models hold to 64K).
        soft_window_share: … and up to this share of the window (RULER: strong models).
        answer_tokens: Reserve for the answer, and the cap of a one-call route's reply (4,096, the runtime's own).
        overhead_tokens: System message and frame of a one-call prompt (counted: under 200; some are dearer).
        loop_floor_tokens: The least that a loop takes: two calls with a prompt of under 5,000 characters.
        select_tokens: Passages that `select` and `retrieval` put into one call (as `semantic_tokens`: what is read well).
        retrieval_hits: Hits of the first search in an index (the searches' own default).
        retrieval_wide_hits: Hits of each search of the wider step.
        retrieval_wide_tokens: Passages that the wider step puts into its one call (under `literal_tokens`: RULER).
        window_chars: Characters of one passage of `select` (150-200 words).
        window_overlap: Characters that neighbouring passages share (15 %).
        length_factor: A reply that was cut is asked for once more with so many times the room.
        min_coverage: An aggregate answered by a loop that has read less of the text than this is marked so.
        pattern_seconds: Time that a caller's pattern may take, in seconds.
        pattern_results: Most matches that the `deterministic` route returns.
        calibration: Tokens that the provider counts for each one estimated here; a result's `calibration` gives it.
        price: Price of the root model; overrules what is known of it.
        subcall_price: Price of the sub-model.
        root_can_code: Whether the root model writes usable Python; if not, no loop is started.
        prefix_cached: Whether the text was sent a moment ago and is priced as read from the provider's prompt cache.
        recorded_runs: Earlier runs to predict costs from: results as `SmartRouter.run` gives them, or the `RecordedRun`s
            kept of them (`RecordedRun.of(result)`); held as these.
        min_recorded_runs: No prediction is shown for a route with fewer.
        escalate_forced: Whether a route forced by the caller may be followed by others.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range.
    """

    context_window: int | None = None
    baseline_threshold: int | None = None
    direct_tokens: int = 4_000
    literal_tokens: int = 32_000
    literal_window_share: float = 0.25
    semantic_tokens: int = 8_000
    aggregate_tokens: int = 16_000
    soft_tokens: int = 64_000
    soft_window_share: float = 0.5
    answer_tokens: int = 4_096
    overhead_tokens: int = 400
    loop_floor_tokens: int = 3_000
    select_tokens: int = 8_000
    retrieval_hits: int = 10
    retrieval_wide_hits: int = 40
    retrieval_wide_tokens: int = 24_000
    window_chars: int = 1_000
    window_overlap: int = 150
    length_factor: int = 4
    min_coverage: float = 0.6
    pattern_seconds: float = 5.0
    pattern_results: int = 1_000
    calibration: float = 1.0
    price: Price | None = None
    subcall_price: Price | None = None
    root_can_code: bool = True
    prefix_cached: bool = False
    recorded_runs: Sequence[RecordedRun | RouterResult] = ()
    min_recorded_runs: int = 10
    escalate_forced: bool = False

    def __post_init__(self) -> None:
        for name in ("literal_window_share", "soft_window_share", "min_coverage", "calibration", "pattern_seconds"):
            self._check_number(name, above_one=name in {"calibration", "pattern_seconds"})
        for item in fields(self):
            if item.type in {"int", "int | None"}:
                self._check_whole(item.name, optional="None" in item.type)
        if self.window_overlap * 2 > self.window_chars:
            raise ConfigurationError(
                f"RouterConfig(window_overlap={self.window_overlap}): expected at most half of "
                f"window_chars={self.window_chars}."
            )
        if self.recorded_runs != ():
            object.__setattr__(self, "recorded_runs", recorded(self.recorded_runs))

    @property
    def records(self) -> tuple[RecordedRun, ...]:
        """The `recorded_runs`, as records."""
        return recorded(self.recorded_runs)

    def fingerprint(self) -> str:
        """Return twelve characters that differ where any field differs."""
        return _fingerprint(self)

    def _check_number(self, name: str, *, above_one: bool) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= (1e6 if above_one else 1):
            expected = "a number above 0" if above_one else "a share above 0 and up to 1"
            raise ConfigurationError(f"RouterConfig({name}={value!r}): expected {expected}.")

    def _check_whole(self, name: str, *, optional: bool) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        least = 0 if name in {"baseline_threshold", "window_overlap", "overhead_tokens", "direct_tokens"} else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            kind = f"a whole number of {least} or more" + (", or None" if optional else "")
            raise ConfigurationError(f"RouterConfig({name}={value!r}): expected {kind}.")


@lru_cache(maxsize=64)
def _fingerprint(config: RouterConfig) -> str:
    text = json.dumps(asdict(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
