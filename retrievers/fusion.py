"""Join ranked lists into one, and keep one document from filling all of it. Pure functions over keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

__all__ = ["RRF_CONSTANT", "reciprocal_rank_fusion", "spread"]

RRF_CONSTANT: Final = 60
"""From Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning methods"
(SIGIR 2009)."""

Key = TypeVar("Key", bound="Hashable")
Item = TypeVar("Item")


def reciprocal_rank_fusion(
    rankings: Iterable[Sequence[Key]], *, constant: int = RRF_CONSTANT
) -> list[tuple[Key, float]]:
    """Join rankings, best first, by the sum of ``1 / (constant + rank)`` over those that hold a key; ranks begin at 1.

    Scores of the rankings play no part, so that BM25 and cosine need no common scale. A key that stands twice in one
    ranking counts by its better place. Equal sums keep the order in which the keys are first met.

    Returns:
        Every key once, with its sum, best first.
    """
    sums: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(dict.fromkeys(ranking), start=1):
            sums[key] = sums.get(key, 0.0) + 1.0 / (constant + rank)
    return sorted(sums.items(), key=lambda pair: -pair[1])


def spread(ranked: Sequence[Item], top_k: int, *, group: Callable[[Item], Hashable], per_group: int) -> list[Item]:
    """The first `top_k` items with at most `per_group` of one group among them.

    Where that leaves places free, the best of those left out fill them. The order of `ranked` is kept.
    """
    counts: dict[Hashable, int] = {}
    taken: list[int] = []
    left_out: list[int] = []
    for place, item in enumerate(ranked):
        name = group(item)
        counts[name] = counts.get(name, 0) + 1
        (taken if counts[name] <= per_group else left_out).append(place)
        if len(taken) == top_k:
            break
    taken += left_out[: top_k - len(taken)]
    return [ranked[place] for place in sorted(taken)]
