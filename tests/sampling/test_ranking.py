"""The ranking's laws: nested, in proportion at every n, order-free and local, a uniform choice, exact weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.core.columns import fields
from pipeline.core.schema import ranking_schema
from pipeline.sampling.ranking import rank, strata_of
from pipeline.sampling.shares import Shares, weights
from tests.sampling.clips import clip_tables, strata_columns, table_of
from tests.support.deviation import largest_deviation
from tests.support.project import ROOT

ALLOCATIONS: list[str | float] = ["proportional", "equal", 0.25, 0.5]


def clips_of(sizes: Sequence[int]) -> pa.Table:
    """Return a table whose strata, by species, have these sizes."""
    return table_of({"species": np.repeat([f"s{place}" for place in range(len(sizes))], sizes).tolist()})


def order_of(clips: pa.Table, **options: Any) -> pd.DataFrame:
    usual: dict[str, Any] = {"strata": ["species"], "allocation": "proportional", "seed": 2017}
    split = pa.array(["one"] * clips.num_rows, pa.string())
    ranked: pd.DataFrame = rank(clips.append_column("split", split), **{**usual, **options}).to_pandas()
    return ranked


# 1 to 300 strata, from all alike (ties everywhere) to very uneven ones.
sizes_of_strata = st.one_of(
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
    st.lists(st.integers(0, 9).map(lambda power: 2**power), min_size=1, max_size=12),
    st.tuples(st.integers(1, 299), st.integers(1, 900)).map(lambda both: [1] * both[0] + [both[1]]),
    st.integers(1, 300).map(lambda count: [1 + place % 7 for place in range(count)]),
)
allocations = st.sampled_from(ALLOCATIONS) | st.floats(0, 1)


# Law 1: nested. The ranking knows no n: a sample is its first n rows, so what has to hold is that it is one order.


@given(clips=clip_tables(), strata=strata_columns, allocation=allocations)
def test_ranking_gives_every_clip_one_rank_and_keeps_what_the_tables_say(
    clips: pa.Table, strata: list[str], allocation: str | float
) -> None:
    clips = clips.append_column("split", pa.array(["one"] * clips.num_rows, pa.string()))
    ranked = rank(clips, strata, allocation, seed=1)
    assert ranked.schema.equals(ranking_schema(fields(clips.schema)), check_metadata=True)
    assert ranked["rank"].to_pylist() == list(range(len(clips)))
    same = [name for name in ranked.column_names if name not in ("rank", "stratum")]
    rows = {row["clip_id"]: row for row in clips.select(same).to_pylist()}
    assert {row["clip_id"]: row for row in ranked.select(same).to_pylist()} == rows


# Law 2: in proportion, at every n.


def test_deviation_is_that_of_the_worst_prefix() -> None:
    assert largest_deviation([*"aaabbb"], "proportional") == Fraction(3, 2)
    assert largest_deviation([*"bbabaa"], "proportional") == 1
    assert largest_deviation([*"abbaab"], "proportional") == Fraction(1, 2)


@given(sizes=sizes_of_strata, allocation=st.sampled_from(ALLOCATIONS) | st.floats(0, 1), seed=st.integers(0, 999))
def test_ranking_prefix_is_within_one_clip_of_every_exact_share(
    sizes: list[int], allocation: str | float, seed: int
) -> None:
    ranked = order_of(clips_of(sizes), allocation=allocation, seed=seed)
    assert largest_deviation(ranked["stratum"].tolist(), allocation) < 1


@given(sizes=sizes_of_strata, allocation=allocations, data=st.data())
def test_shares_rise_together_until_a_stratum_runs_out(
    sizes: list[int], allocation: str | float, data: st.DataObject
) -> None:
    shares = Shares(sizes, allocation)
    clips = data.draw(st.integers(0, sum(sizes)))
    of = [shares.of(place, clips) for place in range(len(sizes))]
    assert sum(of) == clips
    assert all(0 <= share <= size for share, size in zip(of, sizes, strict=True))
    reached = [share / weight for share, weight in zip(of, shares.weights, strict=True)]
    left = {level for level, share, size in zip(reached, of, sizes, strict=True) if share < size}
    assert len(left) <= 1  # the strata that have clips left stand at one level, those that have none below it
    assert all(level <= max(left, default=level) for level in reached)


def test_shares_that_are_equal_are_as_even_as_the_strata_last() -> None:
    for name, power in (("equal", 0), ("proportional", 1.0)):
        assert Shares([1, 4, 10], name).weights == Shares([1, 4, 10], power).weights
    shares = Shares([1, 4, 10], "equal")
    assert [[shares.of(place, clips) for place in range(3)] for clips in (3, 5, 9, 11, 15)] == [
        [1, 1, 1],
        [1, 2, 2],
        [1, 4, 4],
        [1, 4, 6],
        [1, 4, 10],
    ]


def test_shares_of_a_power_weigh_a_stratum_by_its_size_to_that_power() -> None:
    shares = Shares([100, 10_000], 0.5)
    assert [shares.of(0, 110), shares.of(1, 110)] == [10, 100]
    assert [shares.of(0, 1100), shares.of(1, 1100)] == [100, 1000]
    assert [shares.of(0, 1101), shares.of(1, 1101)] == [100, 1001]


@pytest.mark.more
def test_ranking_gives_rare_strata_their_fair_chance_to_be_in_a_small_sample() -> None:
    clips = clips_of([*range(2, 32), *[1] * 40])
    single = {f"s{place}" for place in range(30, 70)}
    drawn = [order_of(clips, seed=seed)["species"][:66].isin(single).sum() for seed in range(60)]
    # Earliest deadline first draws none of them.
    assert np.mean(drawn) == pytest.approx(66 * len(single) / clips.num_rows, abs=0.7)


# Law 3: order-free and local.


@given(clips=clip_tables(), strata=strata_columns, allocation=allocations, data=st.data())
def test_ranking_does_not_depend_on_the_order_of_the_rows(
    clips: pa.Table, strata: list[str], allocation: str | float, data: st.DataObject
) -> None:
    shuffled = clips.take(data.draw(st.permutations(range(clips.num_rows))))
    ranked = order_of(clips, strata=strata, allocation=allocation)
    pd.testing.assert_frame_equal(ranked, order_of(shuffled, strata=strata, allocation=allocation))


@given(clips=clip_tables(), strata=strata_columns, allocation=allocations, data=st.data())
def test_ranking_without_one_row_keeps_the_order_of_every_stratum(
    clips: pa.Table, strata: list[str], allocation: str | float, data: st.DataObject
) -> None:
    assume(clips.num_rows > 1)
    gone = data.draw(st.sampled_from(clips["clip_id"].to_pylist()))
    before = order_of(clips, strata=strata, allocation=allocation)
    after = order_of(clips.filter(pc.not_equal(clips["clip_id"], gone)), strata=strata, allocation=allocation)
    for stratum, rows in before[before["clip_id"] != gone].groupby("stratum"):
        assert after["clip_id"][after["stratum"] == stratum].tolist() == rows["clip_id"].tolist()


DIGEST = """
import hashlib, locale
from pipeline.sampling.ranking import rank
from pipeline.sampling.splits import assign
from tests.sampling.clips import TEXT, Column, pa, table_of
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass
site, speaker = Column("site"), Column("speaker", is_apart=True)
columns = {"site": [["ä", "z", None][number % 3] for number in range(200)]}
columns["text"] = [f"İß ǅ {number % 70}" for number in range(200)]
columns["speaker"] = [f"İß ǅ {number % 40}" for number in range(200)]
for declared in ([site, TEXT], [site, speaker], [site, TEXT, speaker]):
    clips = table_of(columns, declared)
    split = assign(clips, {"train": 0.8, "dev": 0.1, "test": 0.1}, seed=1)
    ranked = rank(clips.append_column("split", pa.array(split, pa.string())), ["site"], 0.3, seed=1)
    print(hashlib.sha256(repr(ranked.to_pylist()).encode()).hexdigest())
"""


@pytest.mark.more
def test_ranking_depends_on_neither_the_hash_seed_nor_the_locale() -> None:
    digests = set()
    for seed, name in (("0", "C"), ("1", "tr_TR.UTF-8")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": name, "PYTHONUTF8": "1"}
        command = [sys.executable, "-c", DIGEST]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        digests.add(ran.stdout)
    assert len(digests) == 1


def test_ranking_of_another_seed_draws_other_clips() -> None:
    clips = clips_of([100])
    assert set(order_of(clips, seed=1)["clip_id"][:50]) != set(order_of(clips, seed=2)["clip_id"][:50])


# A uniform choice.


@pytest.mark.more
def test_ranking_is_a_uniform_choice_within_a_stratum() -> None:
    from scipy.stats import chi2, chisquare  # slow to import, in each worker

    clips = clips_of([12, 30])
    seeds, size, drawn = 400, 12, 4
    first: Counter[str] = Counter()
    among: Counter[str] = Counter()
    for seed in range(seeds):
        ranked = order_of(clips, seed=seed)
        ids = ranked["clip_id"][ranked["species"] == "s0"].tolist()
        first.update(ids[:1])
        among.update(ids[:drawn])
    assert chisquare([first[one] for one in clips["clip_id"][:size].to_pylist()]).pvalue > 0.001
    # Of a choice without replacement the counts vary less, by (size - drawn) / (size - 1).
    expected = seeds * drawn / size
    statistic = sum((among[one] - expected) ** 2 for one in clips["clip_id"][:size].to_pylist()) / expected
    assert chi2.sf(statistic * (size - 1) / (size - drawn), size - 1) > 0.001


# Strata.


@given(clips=clip_tables(), strata=strata_columns)
def test_strata_hold_two_clips_together_where_all_their_values_agree(clips: pa.Table, strata: list[str]) -> None:
    names = strata_of(clips, strata)
    pairs = set(zip(names, (tuple(row[column] for column in strata) for row in clips.to_pylist()), strict=True))
    assert len({name for name, _ in pairs}) == len({row for _, row in pairs}) == len(pairs)


def test_strata_names_can_be_read() -> None:
    rows = [
        ("wren", "twenties", 3),
        ("wren", None, None),
        (None, "?", 0),
        ("a, age=b", "", 1),
        ("Österreich", "50%", -1),
    ]
    clips = table_of(dict(zip(["species", "site", "rating"], zip(*rows, strict=True), strict=True)))
    assert strata_of(clips, ["species", "site", "rating"]).tolist() == [
        "species=wren, site=twenties, rating=3",
        "species=wren, site=?, rating=?",
        "species=?, site=%3F, rating=0",
        "species=a%2C age%3Db, site=, rating=1",
        "species=Österreich, site=50%25, rating=-1",
    ]
    assert set(strata_of(clips, [])) == {"all"}


# Weights.


@given(clips=clip_tables(), strata=strata_columns, data=st.data())
def test_weights_of_a_stratum_add_up_to_its_size(clips: pa.Table, strata: list[str], data: st.DataObject) -> None:
    ranked = order_of(clips, strata=strata)
    sizes = Counter(ranked["stratum"])
    taken = data.draw(st.lists(st.booleans(), min_size=len(ranked), max_size=len(ranked)))
    sample = ranked[taken]  # any rows: clips may have been rejected
    weight = pd.Series(weights(sample["stratum"], sizes), index=sample.index)
    for stratum, of_stratum in weight.groupby(sample["stratum"]):
        assert of_stratum.sum() == sizes[stratum]
        assert of_stratum.max() - of_stratum.min() <= 1
        assert of_stratum.is_monotonic_decreasing
    assert weight.dtype == np.int64
