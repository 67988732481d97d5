"""Train, dev, test: the split of each clip, so that neither a sentence nor a speaker is in two.

Strata, votes and the size of the sample play no part, so that none of them can move a clip to another split.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.sampling.sentences import normalise

__all__ = ["assign", "hashes"]

Integers = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

_HASHES = 2**64  # a digest of 8 bytes


def hashes(values: Iterable[str], *, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """Return a salted hash of each string, uniform over 64 bits and the same on every machine.

    Parameters
    ----------
    values
        What to hash, as UTF-8.
    seed
        Another seed gives unrelated hashes. At most 64 digits.
    purpose
        At most 16 bytes. Two purposes give unrelated hashes of the same string and seed.
    """
    salted = blake2b(digest_size=8, key=str(seed).encode(), person=purpose.encode())

    def digest(value: str) -> bytes:
        hasher = salted.copy()
        hasher.update(value.encode())
        return hasher.digest()

    return np.frombuffer(b"".join(map(digest, values)), dtype=">u8").astype(np.uint64)


def assign(clips: pd.DataFrame, fractions: Mapping[str, float], *, seed: int) -> pd.Series[str]:
    """Return the split of each clip: no sentence and no speaker occurs in two (law 8).

    Where no speaker is known, a salted hash of the normalised sentence decides, and nothing else: other rows do not
    move a clip to another split. Where speakers are known, clips that share a sentence or a speaker form a
    group, and its first sentence (by code points) decides for all of it. Where the largest group does not fit into
    the smallest split (sentences and speakers usually chain into one), sentence and speaker are hashed apart, and a
    clip for which they disagree belongs to no split; to keep the asked fractions p among those that remain, each of
    both falls into a split with a probability in proportion to √p, so that 1 / (Σ√p)² of the clips remain.

    Parameters
    ----------
    clips
        With the columns clip_id, text and, where known, speaker. A clip without a text (or speaker) counts as the
        only one of its sentence (or speaker).
    fractions
        Share of the clips (0..1) for each split; they add up to 1. Their order does not matter.
    seed
        Salt of the hashes.

    Returns
    -------
    pandas.Series
        One name for each row, on the index of `clips`; missing where the clip belongs to no split.
    """
    fractions = {name: fractions[name] for name in sorted(fractions) if fractions[name]}
    ids = clips["clip_id"].to_numpy(dtype=object)
    sentence, sentences = pd.factorize(_own_where_missing(_sentences(clips["text"]), ids), sort=True)
    by_sentence = hashes(sentences, seed=seed, purpose="sentence")
    if "speaker" not in clips or clips["speaker"].isna().all():
        return _named(_choose(by_sentence[sentence], fractions), fractions, clips.index)

    speaker, speakers = pd.factorize(_own_where_missing(clips["speaker"].fillna("").to_numpy(dtype=object), ids))
    group = _groups(sentence, speaker)
    if np.bincount(group).max() <= min(fractions.values()) * len(clips):
        first = pd.Series(sentence).groupby(group).transform("min").to_numpy()
        return _named(_choose(by_sentence[first], fractions), fractions, clips.index)

    roots = {name: math.sqrt(share) for name, share in fractions.items()}
    by_speaker = hashes(speakers, seed=seed, purpose="speaker")
    of_sentence, of_speaker = _choose(by_sentence[sentence], roots), _choose(by_speaker[speaker], roots)
    return _named(np.where(of_sentence == of_speaker, of_sentence, -1), fractions, clips.index)


def _sentences(texts: pd.Series[str]) -> Objects:
    """Return each text, normalised; empty where it is missing."""
    codes, different = pd.factorize(texts)  # the code of a missing text is -1: the last
    return np.array([*map(normalise, different), ""], dtype=object)[codes]


def _own_where_missing(values: Objects, ids: Objects) -> Objects:
    """Fill each empty place with a value that no other row has; no value of a table begins with a NUL."""
    return np.where(values == "", "\0" + ids, values)


def _groups(sentence: Integers, speaker: Integers) -> Integers:
    """Return the number of each row's group: rows that share a sentence or a speaker are in the same one."""
    from scipy.sparse import coo_array  # noqa: PLC0415  slow to import, and needed only where speakers are known
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    nodes = int(sentence.max() + speaker.max()) + 2
    ends = (sentence, sentence.max() + 1 + speaker)
    links = coo_array((np.ones(len(sentence), dtype=np.int8), ends), shape=(nodes, nodes))
    _, group = connected_components(links, directed=False)
    return np.asarray(group[sentence], dtype=np.int64)


def _choose(uniform: npt.NDArray[np.uint64], parts: Mapping[str, float]) -> Integers:
    """Return the place in `parts` of each hash, each part being as likely as it is large."""
    sizes = [Fraction(str(part)) for part in parts.values()]
    ends = [int(sum(sizes[:count]) / sum(sizes) * _HASHES) for count in range(1, len(sizes))]
    return np.searchsorted(np.array(ends, dtype=np.uint64), uniform, side="right")


def _named(places: Integers, names: Iterable[str], index: pd.Index) -> pd.Series[str]:
    """Return the name at each place, a missing value at -1."""
    return pd.Series(np.array([*names, None], dtype=object)[places], index=index, dtype="str")
