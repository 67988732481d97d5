"""Train, dev, test: the split of each clip, so that no value that is to be kept apart is in two (law 8).

Filters, strata and the size of the sample play no part, so that none of them can move a clip to another split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import apart, with_role
from pipeline.core.errors import SampleError
from pipeline.core.terminal import amount
from pipeline.sampling.schedule import schedule
from pipeline.sampling.sentences import normalise
from pipeline.sampling.shares import Shares
from pipeline.snapshot.segments import RECORDING

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Objects = npt.NDArray[np.object_]

_HASHES = 2**64  # a digest of 8 bytes


def hashes(values: Iterable[str], *, seed: int, purpose: str) -> Hashes:
    """Return a salted hash of each string, as UTF-8, uniform over 64 bits and the same on every machine.

    Another seed (of at most 64 digits) or purpose (its first 16 bytes count) gives unrelated hashes.
    """
    salted = blake2b(digest_size=8, key=str(seed).encode(), person=purpose.encode()[:16])

    def digest(value: str) -> bytes:
        hasher = salted.copy()
        hasher.update(value.encode())
        return hasher.digest()

    return np.frombuffer(b"".join(map(digest, values)), dtype=">u8").astype(np.uint64)


def assign(clips: pa.Table, fractions: Mapping[str, float], *, seed: int) -> Objects:
    """Return the split of each clip: no value of a column that is declared to be kept apart occurs in two (law 8).

    Clips that share such a value form a group; with several columns, a group is a connected component. A missing value
    is shared with no other clip, and a column without any value does not count.

    - Where the column with the role ``text`` is one of the columns, or there is no column, the group's first text
      (normalised, by code points) is hashed; a clip without one has its id. Of texts alone, no other row moves a clip
      to another split.
    - Otherwise, groups are dealt by size (`_deal`): there are often a few dozen, and a hash would be too coarse.
    - Columns can chain nearly all clips into one group, larger than the smallest split and than the clips of any one
      value. Then each column is hashed by itself, and a clip for which they disagree belongs to no split. With k
      columns, each puts a value into a split with a probability in proportion to p**(1/k), to keep the fractions p
      among the clips that remain.

    Parameters
    ----------
    clips
        All rows of the tables that are drawn from, with the columns clip_id and those that are declared.
    fractions
        Share of the clips (0..1) for each split; they add up to 1. Their order does not matter.

    Returns
    -------
    numpy.ndarray
        A name for each row; None where the clip belongs to no split.

    Raises
    ------
    SampleError
        There are fewer groups to deal than splits.
    """
    parts = {name: Fraction(str(fractions[name])) for name in sorted(fractions) if fractions[name]}
    text = with_role(clips.schema, "text")
    columns = [name for name in apart(clips.schema) or filter(None, [text]) if clips[name].null_count < len(clips)]
    columns.sort(key=lambda name: name != text)  # the text first
    is_text = columns[:1] == [text] or not columns
    values = [_values(clips, name, is_text=name == text) for name in columns] or [_values(clips, None, is_text=True)]
    groups, first = _components([codes for codes, _ in values])
    sizes = np.bincount(groups)
    most_of_one_value = max(int(np.bincount(codes).max()) for codes, _ in values)
    if sizes.max() > max(most_of_one_value, min(parts.values()) / sum(parts.values()) * len(clips)):
        roots = {name: _root(part, len(columns)) for name, part in parts.items()}
        chosen = []
        for name, (codes, distinct) in zip(columns, values, strict=True):
            purpose = "sentence" if name == text else name
            chosen.append(_choose(hashes(distinct, seed=seed, purpose=purpose), roots)[codes])
        place = np.where(np.all(np.equal(chosen, chosen[0]), axis=0), chosen[0], -1)
    else:
        purpose = "sentence" if is_text else "group"
        by_group = hashes((values[0][1][code] for code in first.tolist()), seed=seed, purpose=purpose)
        if is_text:
            place = _choose(by_group, parts)[groups]
        elif len(sizes) >= len(parts):
            place = _deal(sizes, by_group, parts, seed)[groups]
        else:
            raise _too_few(columns, len(sizes), parts)
    return np.array([*parts, None], dtype=object)[place]


def _values(clips: pa.Table, name: str | None, *, is_text: bool) -> tuple[Integers, list[str]]:
    """Return each row's place among the different values of a column, and these, sorted by code points.

    In place of a missing value stands the clip's id, as one that no other row has: it is told apart by a NUL in front,
    with which no value of a table begins.
    """
    own = pc.binary_join_element_wise("", clips["clip_id"].combine_chunks(), "\0")
    if name is None:
        keys = own
    else:
        cells = clips[name].combine_chunks().dictionary_encode()
        spelled = [normalise(each) if is_text else str(each) for each in cells.dictionary.to_pylist()]
        known = pa.array([each or None for each in spelled], pa.string())
        keys = pc.coalesce(known.take(cells.indices), own)
    encoded = keys.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    return np.argsort(order)[encoded.indices.to_numpy()], [
        each.removeprefix("\0") for each in encoded.dictionary.take(pa.array(order)).to_pylist()
    ]


def _components(codes: list[Integers]) -> tuple[Integers, Integers]:
    """Return the group of each row, and the smallest code of each group in the first column, by which they are sorted.

    Rows that have a code of any column in common are in the same group.
    """
    if len(codes) == 1:
        return codes[0], np.arange(int(codes[0].max()) + 1)
    from scipy.sparse import coo_array  # noqa: PLC0415  slow to import, and needed only for several columns
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    ends = np.cumsum([0, *(int(each.max()) + 1 for each in codes)])
    nodes = [each + end for each, end in zip(codes, ends[:-1], strict=True)]
    links = (np.tile(nodes[0], len(codes) - 1), np.concatenate(nodes[1:]))
    graph = coo_array((np.ones(len(links[0]), dtype=np.int8), links), shape=(int(ends[-1]), int(ends[-1])))
    count, component = connected_components(graph, directed=False)
    smallest = np.full(count, ends[1])
    np.minimum.at(smallest, component[codes[0]], codes[0])
    first, groups = np.unique(smallest[component[codes[0]]], return_inverse=True)
    return groups, first


def _root(part: Fraction, degree: int) -> Fraction:
    context = Context(prec=30)  # the same on every platform, which powers of floats are not
    decimal = context.divide(Decimal(part.numerator), Decimal(part.denominator))
    return Fraction(context.power(decimal, context.divide(Decimal(1), Decimal(degree))))


def _choose(uniform: Hashes, parts: Mapping[str, Fraction]) -> Integers:
    """Return the place in `parts` of each hash, each part being as likely as it is large."""
    sizes = list(parts.values())
    ends = [int(sum(sizes[:count]) / sum(sizes) * _HASHES) for count in range(1, len(sizes))]
    return np.searchsorted(np.array(ends, dtype=np.uint64), uniform, side="right")


def _deal(clips: Integers, order: Hashes, parts: Mapping[str, Fraction], seed: int) -> Integers:
    """Return the place in `parts` of each group, so that each split has its share of groups and, roughly, of clips.

    The number of groups in each split is fixed beforehand (`_seats`). A group with more clips than the whole smallest
    split goes to the largest split, unless there are more of them than it has seats. All others are dealt from the
    largest size (⌊log₂ clips⌋) to the smallest: the splits take turns as strata do in the ranking (`schedule`), so
    that each has its share of every size. Within a size, each split takes a run of the groups in the order of their
    hashes (`order`); the group's place decides between equal ones.
    """
    seats = _seats(parts, len(clips))
    names = list(seats)
    largest = len(names) - 1
    is_large = clips > int(parts[names[0]] / sum(parts.values()) * int(clips.sum()))
    if np.count_nonzero(is_large) > seats[names[-1]]:
        is_large[:] = False
    seats[names[-1]] -= int(np.count_nonzero(is_large))
    dealt = np.full(len(clips), largest)
    size = np.frexp(clips)[1]
    rest = np.flatnonzero(~is_large)
    rest = rest[np.lexsort((order[rest], -size[rest]))]
    open_splits = np.array([place for place, name in enumerate(names) if seats[name]])
    if len(rest):
        starts = hashes([names[place] for place in open_splits], seed=seed, purpose="seats") >> np.uint64(32)
        shares = Shares([seats[names[place]] for place in open_splits], "proportional")
        turns = open_splits[schedule(shares, starts.tolist())]
        dealt[rest] = turns[np.lexsort((turns, -size[rest]))]
    places: Integers = np.array([list(parts).index(name) for name in names])
    return np.asarray(places[dealt])


def _seats(parts: Mapping[str, Fraction], groups: int) -> dict[str, int]:
    """Return how many groups each split has, by ascending fraction.

    Cumulative shares are rounded, so that each split is within one group of its share, where each share is a group or
    more; below that, every split still has one.
    """
    names = sorted(parts, key=lambda name: (parts[name], name))
    ends = [0]
    for place in range(1, len(names) + 1):
        rounded = int(sum(parts[each] for each in names[:place]) / sum(parts.values()) * groups + Fraction(1, 2))
        ends.append(max(ends[-1] + 1, min(rounded, groups - len(names) + place)))
    return dict(zip(names, np.diff(ends).tolist(), strict=True))


def _too_few(columns: list[str], groups: int, parts: Mapping[str, Fraction]) -> SampleError:
    names = sorted(parts, key=lambda name: (-parts[name], name))[:2]
    other = ", or keep another column apart (`apart`, in the snapshot's description)"
    return SampleError(
        f"stratify.splits: {len(parts)} splits cannot be dealt {amount(groups, 'group')} of clips, which are kept "
        f"apart by {' and '.join(columns)}. Ask for {'two splits' if groups > 1 else 'one split'}, such as "
        f"{' and '.join(names[:groups])}{'' if columns == [RECORDING] else other}"
    )
