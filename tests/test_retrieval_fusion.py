"""Fusion: the sums of the paper, their properties, and lists that no single document fills."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.retrievers.fusion import reciprocal_rank_fusion, spread

RANKING = st.lists(st.integers(0, 12), unique=True, max_size=10)
RANKINGS = st.lists(RANKING, max_size=4)


def test_sums_by_hand() -> None:
    fused = reciprocal_rank_fusion([["a", "b", "c"], ["c", "a"]])
    assert [key for key, _ in fused] == ["a", "c", "b"]
    assert dict(fused) == pytest.approx({"a": 1 / 61 + 1 / 62, "c": 1 / 63 + 1 / 61, "b": 1 / 62})


@given(RANKINGS)
def test_every_key_stands_once_in_falling_order(rankings: list[list[int]]) -> None:
    fused = reciprocal_rank_fusion(rankings)
    assert sorted(key for key, _ in fused) == sorted(set().union(*rankings))
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= len(rankings) / 61 + 1e-12 for score in scores)


@given(RANKINGS)
def test_the_order_of_the_rankings_does_not_change_the_sums(rankings: list[list[int]]) -> None:
    assert dict(reciprocal_rank_fusion(rankings)) == pytest.approx(dict(reciprocal_rank_fusion(rankings[::-1])))


@given(RANKING)
def test_one_ranking_keeps_its_order(ranking: list[int]) -> None:
    assert [key for key, _ in reciprocal_rank_fusion([ranking, []])] == ranking


@given(RANKING, RANKING)
def test_what_is_better_in_both_stays_better(first: list[int], second: list[int]) -> None:
    place = {key: n for n, (key, _) in enumerate(reciprocal_rank_fusion([first, second]))}
    both = set(first) & set(second)
    for a in both:
        for b in both:
            if first.index(a) < first.index(b) and second.index(a) < second.index(b):
                assert place[a] < place[b]


def test_a_key_given_twice_counts_by_its_better_place() -> None:
    assert reciprocal_rank_fusion([["a", "b", "a"]]) == reciprocal_rank_fusion([["a", "b"]])


@given(st.lists(st.tuples(st.integers(0, 4), st.uuids())), st.integers(1, 12), st.integers(1, 3))
def test_spread_keeps_order_fills_up_and_prefers_other_documents(ranked: list, top_k: int, per_group: int) -> None:
    chosen = spread(ranked, top_k, group=lambda item: item[0], per_group=per_group)
    assert len(chosen) == min(top_k, len(ranked))
    places = [ranked.index(item) for item in chosen]
    assert places == sorted(set(places))
    available = sum(min(count, per_group) for count in Counter(item[0] for item in ranked).values())
    if available >= top_k:
        assert max(Counter(item[0] for item in chosen).values(), default=0) <= per_group
    if chosen:
        assert chosen[0] == ranked[0]
