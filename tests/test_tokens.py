"""Counts with a vocabulary and without one: at once, safe for budgets, true for decisions."""

import random
import socket
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_texts import kinds, vocabulary_folder

from pyrlm.token_features import estimate as features_of
from pyrlm.token_sample import Joined
from pyrlm.token_vocabulary import Tokenizer, count_tokens
from pyrlm.tokens import TokenCounter, counter_for

SIZE = 150_000
NAMES = sorted(kinds(SIZE))


def counter(model, folder, monkeypatch=None):
    patch = monkeypatch or pytest.MonkeyPatch()
    patch.setenv("TIKTOKEN_CACHE_DIR", folder)
    made = TokenCounter(Tokenizer(model))
    assert made.wait(60)
    if monkeypatch is None:
        patch.undo()
    return made


@pytest.fixture(scope="module")
def known():
    """A model whose own vocabulary is at hand."""
    return counter("gpt-4o", vocabulary_folder())


@pytest.fixture(scope="module")
def older():
    return counter("gpt-4", vocabulary_folder())


@pytest.fixture(scope="module")
def foreign():
    """A model that tiktoken doesn't know, with the nearest vocabulary at hand."""
    return counter("mystery-7b", vocabulary_folder())


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The same model as `known`, with no vocabulary on the machine."""
    return counter("gpt-4o", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def foreign_without(tmp_path_factory):
    return counter("mystery-7b", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def truth(known):
    encoding = known._tokenizer.encoding
    return lambda text: sum(len(encoding.encode_ordinary(piece)) for piece in _lines(text))


def _lines(text):
    """Cut as tiktoken itself can take it; independent of how pyrlm cuts."""
    return [text[at : at + 50_000] for at in range(0, len(text), 50_000)]


def test_each_model_has_its_vocabulary(known, older, foreign, without):
    assert (known.vocabulary, older.vocabulary, foreign.vocabulary) == ("o200k_base", "cl100k_base", "o200k_base")
    assert without.vocabulary is None
    assert known.count("Hello, world!") == 4
    assert counter("openai/gpt-4-turbo", vocabulary_folder()).vocabulary == "cl100k_base"


@pytest.mark.parametrize("name", NAMES)
def test_with_a_vocabulary_samples_are_within_ten_per_cent(name, known, truth):
    text = kinds(SIZE)[name]
    real = truth(text)
    found = known.estimate([text])
    assert found.method == "sampled"
    assert found.vocabulary == "o200k_base"
    assert abs(found.best - real) <= 0.1 * real
    assert found.low <= real <= found.high


@pytest.mark.parametrize("name", NAMES)
def test_without_a_vocabulary_the_interval_covers_the_truth(name, without, truth):
    text = kinds(SIZE)[name]
    for part in (text, text[:30_000], text[:1_000]):
        found = without.estimate([part])
        assert found.method == "features"
        assert found.vocabulary is None
        assert found.low <= truth(part) <= found.high


@pytest.mark.parametrize("name", NAMES)
def test_without_a_vocabulary_the_older_models_are_covered_too(name, older, tmp_path):
    text = kinds(SIZE)[name]
    found = counter("gpt-4", str(tmp_path)).estimate([text])
    assert found.low <= count_tokens(older._tokenizer.encoding, text) <= found.high


@pytest.mark.parametrize("name", NAMES)
def test_no_text_passes_its_upper_bound(name, known, older, foreign, without, foreign_without, truth):
    chance = random.Random(name)
    text = kinds(SIZE)[name]
    for _ in range(20):
        size = chance.choice([1, 10, 100, 511, 512, 3_000, 20_000])
        start = chance.randrange(len(text) - size)
        part = text[start : start + size]
        real, size_bytes = truth(part), len(part.encode())
        assert real <= known.upper_bound(part) <= size_bytes
        assert real <= without.upper_bound(part) <= size_bytes
        # The models with other vocabularies are stood for by the older one.
        other = count_tokens(older._tokenizer.encoding, part)
        assert max(real, other) <= foreign.upper_bound(part) <= size_bytes
        assert max(real, other) <= foreign_without.upper_bound(part) <= size_bytes


def test_bounds_are_tight_enough_to_work_with(known, foreign, without, foreign_without, truth):
    text = kinds(SIZE)["english"][:20_000]
    real = truth(text)
    assert known.upper_bound(text) == real
    assert without.upper_bound(text) < 1.6 * real
    assert foreign.upper_bound(text) < 2.5 * real
    assert foreign_without.upper_bound(text) < 2.8 * real


@given(text=st.text(max_size=600))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_is_bounded(text, known, without, foreign_without):
    real = known.count(text)
    assert real <= known.upper_bound(text)
    assert without.upper_bound(text) <= len(text.encode("utf-8", "surrogatepass"))
    for one in (known, without, foreign_without):
        found = one.estimate([text])
        assert 0 <= found.low <= found.best <= found.high <= len(text.encode("utf-8", "surrogatepass"))
    assert real <= foreign_without.upper_bound(text)


@pytest.mark.parametrize("order", range(6))
def test_mixed_files_whose_first_part_differs(order, known, without, truth):
    chance = random.Random(order)
    texts = kinds(SIZE)
    parts = [texts[name][: chance.randint(3_000, SIZE)] for name in chance.sample(NAMES, 5)]
    real = truth("".join(parts))
    for text in (parts, ["".join(parts)]):
        found = known.estimate(text)
        assert abs(found.best - real) <= 0.1 * real
        assert found.low <= real <= found.high
        rough = without.estimate(text)
        assert rough.low <= real <= rough.high


def test_fits_or_not_decisions_are_right_or_unsure(known, truth):
    chance = random.Random(3)
    texts = kinds(SIZE)
    unsure = 0
    for number in range(20):
        parts = [texts[name][: chance.randint(2_000, 40_000)] for name in chance.sample(NAMES, 4)]
        real = truth("".join(parts))
        for share in (0.7, 0.85, 0.95, 0.99, 1.01, 1.05, 1.2, 1.5):
            limit = int(real * share)
            found = known.estimate(parts, limits=[limit])
            if found.high <= limit:
                assert real <= limit, number
            elif found.low > limit:
                assert real > limit, number
            else:
                unsure += 1
    assert unsure < 0.25 * 160


def test_what_decides_is_counted_exactly_where_that_is_cheap(known, truth):
    text = kinds(SIZE)["english"]
    real = truth(text)
    assert known.estimate([text], limits=[10 * real]).method == "sampled"
    found = known.estimate([text], limits=[real - 1])
    assert found.method == "exact"
    assert found.low == found.high == found.best
    cuts = len(text) // 100_000  # pieces are counted one by one, and a cut may split a word into other tokens
    assert abs(found.best - real) <= 3 * cuts
    longer = [text, text]
    rough, finer = known.estimate(longer), known.estimate(longer, limits=[2 * real])
    assert finer.high - finer.low < rough.high - rough.low


def test_a_small_text_is_bounded_by_its_bytes_without_a_vocabulary(without):
    found = without.estimate(["naïve " * 100], limits=[4_000])
    assert (found.method, found.high) == ("bound", 700)
    assert without.estimate(["naïve " * 1_000], limits=[4_000]).method == "features"


def test_a_model_of_unknown_vocabulary_is_never_counted_exactly(foreign, known):
    text = kinds(SIZE)["english"][:10_000]
    own, other = known.estimate([text]), foreign.estimate([text])
    assert own.method == "exact"
    assert other.method == "sampled"
    assert other.low < own.best < other.high


def test_the_same_text_gives_the_same_numbers_however_it_is_cut_up(known):
    text = kinds(SIZE)["csv"] + kinds(SIZE)["russian"]
    parts = text.split("\n")
    first = known.estimate([text])
    assert first == known.estimate([text])
    assert first == known.estimate(parts, "\n")
    assert first == counter("gpt-4o", vocabulary_folder()).estimate([text])


@given(
    texts=st.lists(st.text(max_size=20), max_size=8),
    separator=st.text(max_size=3),
    cut=st.tuples(st.integers(0, 90), st.integers(0, 90)),
)
def test_texts_are_read_as_one_without_joining_them(texts, separator, cut):
    joined = Joined(texts, separator)
    whole = separator.join(texts)
    assert joined.length == len(whole)
    assert joined.slice(cut[0], min(cut[1], joined.length)) == whole[cut[0] : min(cut[1], len(whole))]


def test_nothing_is_nothing(known, without):
    for one in (known, without):
        assert one.count("") == one.upper_bound("") == 0
        assert one.estimate([]).high == one.estimate(["", ""]).high == 0


@pytest.mark.parametrize("character", [" ", "\t", "\n", "a", "=", "0", "中", "\u0301", "\x00"])
def test_a_million_of_the_same_character_is_counted(character, known, without):
    text = character * 1_200_000
    real = known.upper_bound(text)
    assert 0 < real <= len(text.encode())
    assert abs(known.estimate([text]).best - real) <= max(0.1 * real, 10)
    assert without.estimate([text]).low <= real <= without.estimate([text]).high


def test_a_panic_of_the_tokenizer_is_no_crash(known, monkeypatch):
    class PanicException(BaseException):
        """As pyo3 raises it."""

    class Panics:
        def encode_ordinary(self, text):
            raise PanicException

    assert count_tokens(Panics(), "naïve") == 6

    class Interrupted:
        def encode_ordinary(self, text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_tokens(Interrupted(), "x")


def test_tiktoken_really_panics_on_what_is_kept_from_it(known):
    with pytest.raises(BaseException) as caught:
        known._tokenizer.encoding.encode_ordinary(" " * 1_200_000)
    assert type(caught.value).__name__ == "PanicException"


def test_half_a_surrogate_pair_is_counted(known, without):
    text = "broken \ud83d pair" * 100
    for one in (known, without):
        assert 0 < one.count(text) <= one.upper_bound(text)
        assert one.estimate([text]).high > 0


def test_messages_have_a_frame_each(known):
    messages = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Why is the sky blue?"}]
    counted = known.count_messages(messages)
    # OpenAI's own count of this request is 3 a message, 3 for the reply's start, and the contents.
    assert counted >= 3 * 2 + 3 + known.count("Answer.") + known.count("Why is the sky blue?")
    assert known.upper_bound_messages(messages) > counted
    assert sum(map(known.upper_bound_message, messages)) < known.upper_bound_messages(messages)


def test_a_transcript_that_grows_is_not_counted_again(known, monkeypatch):
    counted = []
    original = count_tokens
    monkeypatch.setattr(
        "pyrlm.tokens.count_tokens", lambda encoding, text: counted.append(text) or original(encoding, text)
    )
    fresh = counter("gpt-4o", vocabulary_folder())
    messages = []
    for step in range(20):
        messages.append({"role": "user", "content": f"{step} " + "word " * 500})
        fresh.upper_bound_messages(messages)
    assert len(counted) == 20


# Closed networks


def test_without_a_vocabulary_nothing_touches_the_network_and_nothing_is_printed(tmp_path):
    script = """
        import socket, sys
        def refuse(*arguments, **options):
            print("network!", flush=True)
            raise OSError("no network")
        socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
        from pyrlm.tokens import counter_for
        counters = [counter_for(model) for model in ("gpt-4o", "gpt-4", "gpt-oss-20b", "text-davinci-003", "llama3", None)]
        early = [counter.count("a few words") for counter in counters]
        assert all(counter.wait(30) for counter in counters)
        print([counter.vocabulary for counter in counters], early[0] > 0, counters[0].estimate(["x y z " * 10_000]).method)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"TIKTOKEN_CACHE_DIR": str(tmp_path)},
    )
    assert done.stderr == ""
    assert done.stdout.strip() == f"{[None] * 6} True features"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_vocabulary_is_neither_used_nor_fetched_again(tmp_path, monkeypatch):
    name = "fb374d419588a4632f3f557e76b4b70aebbca790"
    (tmp_path / name).write_bytes(b"IQ== 0\n")
    called = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **options: called.append(address))
    assert counter("gpt-4o", str(tmp_path), monkeypatch).vocabulary is None
    assert called == []
    assert (tmp_path / name).read_bytes() == b"IQ== 0\n"


@pytest.mark.parametrize("setting", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"])
def test_an_empty_folder_name_turns_tiktokens_cache_off_and_so_the_vocabulary(setting, monkeypatch):
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.setenv(setting, "")
    made = TokenCounter(Tokenizer("gpt-4o"))
    assert made.wait(60)
    assert made.vocabulary is None


def test_asking_for_a_counter_loads_nothing_at_once():
    script = """
        import sys, threading
        release = threading.Event()
        from pyrlm import token_vocabulary
        token_vocabulary._vocabulary_of = lambda model: release.wait(30) and ("o200k_base", True)
        from pyrlm.tokens import counter_for
        counter = counter_for("gpt-4o")
        assert "tiktoken" not in sys.modules and counter.vocabulary is None
        assert not counter.wait(0)
        assert counter.count("several words of text") > 0 and counter.estimate(["word " * 50_000]).method == "features"
        release.set()
        assert counter.wait(30)
        print("tiktoken" in sys.modules, counter.vocabulary)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"TIKTOKEN_CACHE_DIR": vocabulary_folder()},
    )
    assert (done.stdout.strip(), done.stderr) == ("True o200k_base", "")


def test_one_counter_a_model():
    assert counter_for("gpt-4o") is counter_for("gpt-4o")


def test_features_are_additive_enough_to_sample(truth):
    text = kinds(SIZE)["english"][:50_000]
    whole = features_of(text, "o200k_base").best
    pieces = sum(features_of(piece, "o200k_base").best for piece in (text[:20_000], text[20_000:]))
    assert abs(whole - pieces) <= 2
