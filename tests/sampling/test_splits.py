"""The splits' laws: nothing that is kept apart crosses, nothing else decides, and the sizes are those asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.columns import Column
from pipeline.core.errors import SampleError
from pipeline.sampling.sentences import normalise
from pipeline.sampling.splits import assign, hashes
from pipeline.snapshot.segments import RECORDING
from tests.sampling.clips import TEXT, table_of, texts

SPLITS = {"train": 0.8, "dev": 0.1, "test": 0.1}
SPEAKER, SITE = Column("speaker", is_apart=True), Column("site", "integer", is_apart=True)

people = st.none() | st.sampled_from(["ann", "bo", "cy", "di", "ed"])
sites = st.none() | st.integers(1, 5)
fractions_of_splits = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(
    lambda parts: {f"split {place}": part / sum(parts) for place, part in enumerate(parts)}
)


def crossing(keys: Iterable[object], split: Iterable[str | None]) -> int:
    """Count the keys, other than missing ones, that occur in more than one split."""
    splits = defaultdict(set)
    for key, name in zip(keys, split, strict=True):
        if key not in (None, "") and name is not None:
            splits[key].add(name)
    return sum(len(names) > 1 for names in splits.values())


def shares_of(split: Iterable[str | None]) -> dict[str | None, float]:
    known = [name for name in split if name is not None]
    return {name: count / len(known) for name, count in Counter(known).items()}


def sentences_of(clips: pa.Table) -> list[str | None]:
    return [text and normalise(text) for text in clips["text"].to_pylist()]


# Hashes.


@given(values=st.lists(st.text(), max_size=5))
def test_hashes_depend_on_value_seed_and_purpose_alone(values: list[str]) -> None:
    together = hashes(values, seed=1, purpose="clip")
    assert together.tolist() == [int(hashes([value], seed=1, purpose="clip")[0]) for value in values]
    for other in (hashes(values, seed=2, purpose="clip"), hashes(values, seed=1, purpose="sentence")):
        assert not (together == other).any()


# Law 8, of texts.


@given(sentences=st.lists(st.none() | texts, min_size=1, max_size=30), data=st.data())
def test_splits_are_decided_by_the_sentence_alone(sentences: list[str | None], data: st.DataObject) -> None:
    clips = table_of({"text": sentences})
    split = assign(clips, SPLITS, seed=2017)
    assert set(split) <= set(SPLITS)
    assert crossing(sentences_of(clips), split) == 0
    some = data.draw(st.lists(st.sampled_from(range(len(sentences))), min_size=1, unique=True))
    assert assign(clips.take(some), SPLITS, seed=2017).tolist() == split[some].tolist()
    assert assign(clips, dict(reversed(SPLITS.items())), seed=2017).tolist() == split.tolist()


@pytest.mark.parametrize("fractions", [{"all": 1.0}, {"train": 0.5, "test": 0.5, "none": 0.0}, {"a": 0.1, "b": 0.9}])
def test_splits_come_in_the_sizes_that_were_asked(fractions: dict[str, float]) -> None:
    asked = {name: fraction for name, fraction in fractions.items() if fraction}
    of_sentences = table_of({"text": [f"sentence {number}" for number in range(5000)]})
    assert shares_of(assign(of_sentences, fractions, seed=2017)) == pytest.approx(asked, abs=0.02)
    # A clip without a text, or of a data set in which nothing is kept apart, is decided by its id.
    missing = table_of({"text": [None, "", " "] * 1500})
    by_id = assign(missing, fractions, seed=2017).tolist()
    assert shares_of(by_id) == pytest.approx(asked, abs=0.03)
    assert assign(table_of({"text": missing["clip_id"].to_pylist()}), fractions, seed=2017).tolist() == by_id
    assert assign(missing.drop_columns("text"), fractions, seed=2017).tolist() == by_id
    assert assign(table_of({"site": [None] * 4500}, [SITE]), fractions, seed=2017).tolist() == by_id


# Law 8, of groups.


@given(
    sizes=st.lists(st.integers(1, 60) | st.integers(0, 9).map(lambda power: 2**power), min_size=1, max_size=40),
    fractions=fractions_of_splits,
    seed=st.integers(0, 99),
)
def test_splits_have_their_shares_of_groups_to_within_one_and_are_never_empty(
    sizes: list[int], fractions: dict[str, float], seed: int
) -> None:
    speakers = np.repeat([f"speaker {place}" for place in range(len(sizes))], sizes).tolist()
    clips = table_of({"speaker": speakers}, [SPEAKER, Column("text", roles=("text",))])
    if len(sizes) < len(fractions):
        with pytest.raises(SampleError):
            assign(clips, fractions, seed=seed)
        return
    split = assign(clips, fractions, seed=seed)
    assert crossing(speakers, split) == 0
    groups = Counter(dict(zip(speakers, split, strict=True)).values())
    assert set(groups) == set(fractions)
    exact = {name: fraction * len(sizes) for name, fraction in fractions.items()}
    if min(exact.values()) >= 1:
        assert all(abs(groups[name] - share) < 1 + 1e-9 for name, share in exact.items())
    shuffled = np.random.default_rng(seed).permutation(len(speakers))
    backwards = dict(reversed(fractions.items()))
    assert assign(clips.take(pa.array(shuffled)), backwards, seed=seed).tolist() == split[shuffled].tolist()


@pytest.mark.parametrize(
    ("sizes", "least", "most"),
    [
        ([60] * 24, 0.08, 0.13),  # actors
        ([1 + 65 * n**3 // 125**3 for n in range(126)], 0.05, 0.15),  # patients
        ([1 + 899 * n**9 // 1999**9 for n in range(2000)], 0.08, 0.12),  # authors
    ],
)
def test_splits_of_groups_of_very_different_sizes_have_their_share_of_clips(
    sizes: list[int], least: float, most: float
) -> None:
    clips = table_of({"site": np.repeat(np.arange(len(sizes)), sizes).tolist()}, [SITE])
    for seed in range(10):
        shares = shares_of(assign(clips, SPLITS, seed=seed))
        assert least <= min(shares["dev"], shares["test"]) <= max(shares["dev"], shares["test"]) <= most


def test_splits_put_groups_larger_than_a_split_into_the_largest() -> None:
    clips = table_of({"site": np.repeat(np.arange(255), [150] * 5 + [1] * 250).tolist()}, [SITE])
    for seed in range(10):
        assert set(assign(clips, SPLITS, seed=seed)[:750]) == {"train"}


def test_splits_of_fewer_groups_say_what_helps() -> None:
    clips = table_of({"site": [1, 2, 2]}, [SITE])
    message = (
        "3 splits cannot be dealt 2 groups of clips, .* by site. Ask for two splits, such as train and dev, or keep"
    )
    with pytest.raises(SampleError, match=message):
        assign(clips, SPLITS, seed=1)
    assert sorted(set(assign(clips, {"train": 0.8, "test": 0.2}, seed=1))) == ["test", "train"]
    of_pieces = table_of({RECORDING: ["a", "a"]}, [Column(RECORDING, is_apart=True)])
    with pytest.raises(SampleError, match=r"dealt 1 group of .* by the recording\. Ask for one split, such as train$"):
        assign(of_pieces, SPLITS, seed=1)


def test_splits_take_a_missing_value_for_a_group_of_its_own() -> None:
    split = assign(
        table_of({"clip_id": [*"123"], "site": [1, None, None]}, [SITE]), dict.fromkeys("abc", 1 / 3), seed=1
    )
    assert sorted(split) == ["a", "b", "c"]


# Law 8, of several columns.


@given(rows=st.lists(st.tuples(st.none() | texts, people, sites), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_splits_share_no_value_of_any_column(rows: list[tuple[str | None, str | None, int | None]], seed: int) -> None:
    columns = dict(zip(["text", "speaker", "site"], zip(*rows, strict=True), strict=True))
    for declared in ([TEXT, SPEAKER], [SITE, SPEAKER], [SPEAKER, SITE, TEXT]):
        clips = table_of(columns, declared)
        for fractions in (SPLITS, {"one": 0.5, "other": 0.5}, {"all": 1.0}):
            try:
                split = assign(clips, fractions, seed=seed)
            except SampleError:
                continue
            for column in declared:
                keys = sentences_of(clips) if column is TEXT else clips[column.name].to_pylist()
                assert crossing(keys, split) == 0
            assert assign(clips[::-1], fractions, seed=seed).tolist() == split[::-1].tolist()


def test_splits_of_small_groups_lose_no_clip() -> None:
    number = np.arange(6000)  # groups of two speakers who share both of their sentences
    columns = {"speaker": [f"p{n // 3}" for n in number], "text": [f"s{n // 6} {n % 2}" for n in number]}
    for declared in ([TEXT, SPEAKER], [Column("text", is_apart=True), SPEAKER]):
        clips = table_of(columns, declared)
        split = assign(clips, SPLITS, seed=2017)
        assert crossing(columns["text"], split) == crossing(columns["speaker"], split) == 0
        assert shares_of(split) == pytest.approx(SPLITS, abs=0.04)
        assert None not in split


def test_splits_lose_no_clip_to_a_large_value_that_chains_nothing() -> None:
    sites = [1] * 1500 + list(range(2, 3002))
    clips = table_of({"site": sites, "speaker": [f"{site} {n % 7}" for n, site in enumerate(sites)]}, [SITE, SPEAKER])
    split = assign(clips, SPLITS, seed=1)
    assert None not in split
    assert crossing(sites, split) == 0
    # No speaker is of two sites: it is as if only sites were kept apart.
    assert assign(clips.drop_columns("speaker"), SPLITS, seed=1).tolist() == split.tolist()


@pytest.mark.parametrize("declared", [[TEXT, SPEAKER], [SPEAKER, SITE], [TEXT, SPEAKER, SITE]])
def test_splits_of_one_giant_group_are_cut_along_each_column_and_keep_the_sizes(declared: list[Column]) -> None:
    numbers = np.random.default_rng(0).integers(0, 3000, (3, 30_000)).tolist()
    columns = {"text": [f"s{n}" for n in numbers[0]], "speaker": [f"p{n}" for n in numbers[1]], "site": numbers[2]}
    clips = table_of(columns, declared)
    split = assign(clips, SPLITS, seed=2017)
    assert all(crossing(columns[column.name], split) == 0 for column in declared)
    roots = sum(fraction ** (1 / len(declared)) for fraction in SPLITS.values())
    assert np.mean([name is not None for name in split]) == pytest.approx(1 / roots ** len(declared), abs=0.03)
    assert shares_of(split) == pytest.approx(SPLITS, abs=0.03)


@pytest.mark.parametrize(
    ("speakers", "sentences", "expected"),
    [
        (7, 5, "-a---aa---aa--saa---a----aa---aa----a---aa---aa--saa---a----"),
        (59, 60, "avsvvaavassavaasvasasavsasaaavvaaasasvasasavsaavassavaavvsva"),
    ],
    ids=["one component", "many"],
)
def test_splits_of_speakers_and_sentences_stay_what_they_were(speakers: int, sentences: int, expected: str) -> None:
    """A sample never changes: these are the third letters of the splits, with a dash for none."""
    rows = [(f"t/{row}", f"speaker {row * row % speakers}", f"sentence {row * 7 % sentences}") for row in range(60)]
    declared = [Column("speaker", is_apart=True).field, Column("text", roles=("text",), is_apart=True).field]
    clips = pa.table(list(zip(*rows, strict=True)), schema=pa.schema([("clip_id", pa.string()), *declared]))
    split = assign(clips, {"train": 0.5, "dev": 0.25, "test": 0.25}, seed=2017)
    assert "".join("-" if name is None else name[2] for name in split) == expected
