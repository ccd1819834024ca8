import datetime as dt
import json
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrlm.errors import WireError
from pyrlm.repl import wire
from pyrlm.textapi import Match


def cross(value):
    return wire.decode(wire.loads(wire.dumps(wire.encode(value))))


def canonical(value):
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(canonical, value)))
    return type(value), list(map(canonical, value)) if isinstance(value, tuple) else repr(value)


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, (set, frozenset)):
        return canonical(left) == canonical(right)
    if isinstance(left, (dt.datetime, dt.time)):
        return left == right and left.fold == right.fold and repr(left.tzinfo) == repr(right.tzinfo)
    return left == right


anything = st.characters(min_codepoint=0, max_codepoint=0x10FFFF)  # lone surrogates as well
zones = st.none() | st.sampled_from([dt.UTC, ZoneInfo("Asia/Tokyo"), dt.timezone(dt.timedelta(hours=1), "CET")])
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats() | st.text(anything) | st.binary() | st.decimals(allow_nan=False) | st.dates() | st.timedeltas()
    | st.datetimes(timezones=zones, allow_imaginary=False) | st.times(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
values = st.recursive(
    hashable | st.sets(hashable, max_size=4) | st.just(Decimal("NaN")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hashable, inner, max_size=4)
    | st.dictionaries(st.text(anything) | st.sampled_from(["$int", "$dict", "$"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(values)
def test_values_keep_type_and_order(value):
    assert same(cross(value), value)


@settings(max_examples=150, deadline=None)
@given(values)
def test_encoded_values_are_what_any_json_reader_takes(value):
    text = json.dumps(wire.encode(value), allow_nan=False)
    assert json.loads(text) is not None or value is None


def test_surrogates_side_by_side_stay_two():
    pair = "\ud83d\ude00"
    assert len(cross(pair)) == 2
    assert cross([pair, "😀"]) == [pair, "😀"]


def test_one_point_zero_stays_a_float_and_true_a_bool():
    assert [type(x) for x in cross([1.0, 1, True, 2**60, 10**5000])] == [float, int, bool, int, int]


def test_subclasses_of_dict_cross_as_dict():
    groups = defaultdict(list, a=[1])
    crossed = cross([Counter("aab"), OrderedDict(z=1, a=2), groups])
    assert [type(x) for x in crossed] == [dict, dict, dict]
    assert crossed == [{"a": 2, "b": 1}, {"z": 1, "a": 2}, {"a": [1]}]
    assert list(crossed[1]) == ["z", "a"]


def test_named_tuples_cross_as_tuples():
    assert type(cross(Match(0, 1, "a", 0, 1))) is tuple
    assert cross([Match(0, 1, "a", 0, 1)]) == [(0, 1, "a", 0, 1)]


class Foo:
    def __repr__(self):
        raise AssertionError("nobody asks a foreign object for its repr")

    __str__ = __repr__


def test_what_cannot_cross_is_named_with_its_place():
    with pytest.raises(WireError, match=r"value\['a'\]\[3\]: object of type Foo can't cross"):
        wire.encode({"a": [1, 2, 3, Foo()]})
    with pytest.raises(WireError, match=r"key 1 of argument 2"):
        wire.encode({1: 1, Foo(): 2}, "argument 2")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (range(3), "list"),
        ((x for x in "ab"), "list"),
        ({}.keys(), "list"),
        (len, "value that it returns"),
    ],
)
def test_refusals_say_what_to_hand_over(value, hint):
    with pytest.raises(WireError, match=hint):
        wire.encode(value)


def test_a_list_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(WireError, match="contains itself"):
        wire.encode(loop)


@pytest.mark.parametrize(
    "data",
    [
        {"$int": 5},
        {"$nothing": 1},
        {"$set": [[1]]},
        {"$set": "abc"},
        {"$dict": [[1]]},
        {"$dict": [[{"$set": []}, 1]]},
        {"$float": "1"},
        {"$bytes": "ü"},
        {"$datetime": ["2020", 0, None]},
        {"$datetime": ["2020-01-01T00:00:00", 7, None]},
        {"$time": ["00:00:00", 0, "../../etc/passwd"]},
        {"$timedelta": [10**30, 0, 0]},
        {"$decimal": "one"},
        {"$date": 5},
    ],
)
def test_malformed_tags_are_wire_errors(data):
    with pytest.raises(WireError):
        wire.decode(data)


@pytest.mark.parametrize("payload", [b"{", b"[" * 100_000, b"\xff", b"", b"9" * 5000])
def test_malformed_frames_are_wire_errors(payload):
    with pytest.raises(WireError):
        wire.loads(payload)


def test_a_frame_of_nothing_but_brackets_is_refused_before_it_is_parsed():
    with pytest.raises(WireError, match="too many items"):
        wire.loads(b"[" + b"[]," * 3_000_000 + b"1]")


def test_keys_made_to_collide_are_refused():
    modulus = 2**61 - 1
    with pytest.raises(WireError, match="one hash"):
        wire.decode({"$set": [{"$int": format(n * modulus, "x")} for n in range(2_000)]})
    with pytest.raises(WireError, match="one hash"):
        wire.decode({"$dict": [[{"$int": format(n * modulus, "x")}, 1] for n in range(2_000)]})


def test_a_value_too_big_for_a_frame_says_so():
    with pytest.raises(WireError, match="hand over parts"):
        wire.pack("x" * (wire.MAX_FRAME + 1))


def test_fifty_million_chinese_characters_fit():
    assert len(wire.loads(wire.dumps("\u4e2d" * 50_000_000))) == 50_000_000
