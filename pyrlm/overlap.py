"""How much of one text does another hold? By samples: enough to notice that it is nearly all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["share_held"]

_SAMPLES = 40
_SAMPLE_CHARS = 60


def share_held(part: Sequence[str], whole: Sequence[str]) -> float:
    """Return the share of `whole` that `part` holds, 0.0 to 1.0.

    Never more than what the sizes allow; where these allow much, the share of samples of `whole`, taken at equal
    distances, that stand in `part` word for word.
    """
    size = sum(map(len, whole))
    held = sum(map(len, part)) / size if size else 0.0
    if held < 0.5:  # noqa: PLR2004 - far from all of it, and a pass over 100 million characters takes a second
        return held
    samples = [sample for text in whole for sample in _samples(text, max(1, size // _SAMPLES))]
    found = sum(any(sample in text for text in part) for sample in samples)
    return min(1.0, held, found / len(samples))


def _samples(text: str, distance: int) -> list[str]:
    """Return pieces of `text`, one for each `distance` characters and at least one."""
    return [text[start : start + _SAMPLE_CHARS] for start in range(0, max(1, len(text)), distance)]
