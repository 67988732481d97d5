"""Which columns have a role: the text, the label, the group. Each guess says why, and whether it is sure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import RESERVED
from pipeline.core.words import word_count

# A word of a column's name, such as fsID, src_file, primary_label.
_GROUPS = re.compile(
    "speaker|speakerid|spk|spkr|actor|subject|patient|participant|person|client|user|singer|artist|composer|performer|"
    "author|recordist|fs|freesound|src|recording|song|session|track|album|video|youtube|identifier|individual|location"
)
_LABELS = re.compile(
    "label|labels|class|category|emotion|genre|species|diagnosis|disease|condition|status|target|command|keyword|digit|"
    "instrument|scene|language|event|dialect|ebird"
)
_PRIMARY = re.compile("primary")
_TEXTS = re.compile("text|sentence|transcript|transcription|utterance|normali[sz]ed|script|prompt")
# A word of values that are labels wherever they stand: feelings or their first letters, findings.
_VALUES = re.compile(
    "anger|angry|ang|happy|happiness|hap|sad|sadness|neutral|neu|fear|fearful|fea|disgust|dis|surprised?|sur|ps|calm|"
    "bored|boredom|excited|joy|bonafide|spoof|real|fake|genuine|healthy|normal|abnormal|positive|negative|covid|copd|"
    "asthma|urti|lrti|murmur|artifact"
)
# A word of each value of a column that is the publisher's split: TRAIN, dev-clean.
_SPLITS = re.compile("train(ing)?|trn|test(ing)?|tst|dev(elopment)?|val(id(ation)?)?|eval(uation)?")
_MOST_LEVELS = 60  # of a label that no name gives away
_OFTEN = 3  # clips of a value, on average, that is one of few
_SENTENCE_WORDS = 5
_LEAST_GROUPS = 4  # that three splits can share


@dataclass
class Column:
    """A column, as far as it is known."""

    name: str
    source: str  # its name in the table
    hint: str  # what it may be called: its name in the table, or the literal text in front of the field
    origin: str  # path, table, or the table that is a lookup
    values: pa.StringArray = field(repr=False)
    is_folder: bool = False  # a field that is all of a folder's name
    is_last: bool = False  # the last field of the file's name
    is_key: bool = False  # of a lookup

    def is_called(self, words: re.Pattern[str]) -> bool:
        """Tell whether one of these words is in its name."""
        return any(words.fullmatch(word.lower()) for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", self.hint))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many clips have each value; none of a missing one."""
        counted = self.values.drop_null().value_counts()
        return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))

    @property
    def clips(self) -> float:
        """How many clips a value has, on average."""
        return sum(self.counts.values()) / max(1, len(self.counts))

    @cached_property
    def is_number(self) -> bool:
        """Whether nearly all values are numbers."""
        return self._share(r"[-+]?[0-9.]+") > 0.8

    @cached_property
    def is_words(self) -> bool:
        """Whether nearly all values are words rather than numbers or codes."""
        return self._share(r"[^\W\d]{3,}([-_ ,.&/()]+[^\W\d]+)*") >= 0.8

    @cached_property
    def is_split(self) -> bool:
        """Whether the values are the publisher's split, which is a fact to keep, and no role."""
        words = [re.split(r"[\W\d_]+", value.lower()) for value in self.counts]
        return 1 < len(words) <= _MOST_LEVELS and all(any(map(_SPLITS.fullmatch, each)) for each in words)

    def _share(self, regex: str) -> float:
        return sum(bool(re.fullmatch(regex, value)) for value in self.counts) / max(1, len(self.counts))

    @property
    def shown(self) -> str:
        """Its values, for a person."""
        least, most = min(self.counts.values()), max(self.counts.values())
        clips = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        return f"{len(self.counts):,} values, {clips} clips each"


@dataclass(frozen=True)
class Guess:
    """A column that probably has a role, and why."""

    column: Column
    why: str
    is_sure: bool


class Candidates(list[Guess]):
    """The columns that may have a role, the best first."""

    @property
    def sure(self) -> Column | None:
        """The column that has it, where that is sure."""
        return self[0].column if self and self[0].is_sure else None


class Roles(NamedTuple):
    """What was guessed."""

    label: Candidates
    text: Candidates
    group: Candidates


def our_name(theirs: str, taken: Iterable[Column]) -> str:
    """Return a name of a column that a description may declare: an identifier, which no stage writes."""
    name = re.sub(r"\W+", "_", theirs).strip("_")
    name = name if name[:1].isalpha() else f"column_{name}"
    while name in RESERVED or any(name == column.name for column in taken):
        name = f"{name}_"
    return name


def roles_of(columns: Sequence[Column]) -> Roles:
    """Guess the roles of columns: first the text, then the group that a name tells, the label, and other groups."""
    columns = [column for column in columns if len(column.counts) > 1 and not column.is_split]
    texts = _candidates(map(_text, columns))
    columns = _without(columns, texts)
    groups = _candidates(map(_named_group, columns))
    columns = _without(columns, groups)
    labels = _labels(columns, has_text=bool(texts))
    label = labels.sure
    others = [_other_group(column, label, is_first=at == 0) for at, column in enumerate(columns) if column is not label]
    groups = _candidates(
        guess for guess in (*groups, *others) if guess and not (label and _is_same(guess.column, label))
    )
    return Roles(labels, texts, groups)


def _candidates(guesses: Iterable[Guess | None]) -> Candidates:
    return Candidates(sorted(filter(None, guesses), key=lambda guess: not guess.is_sure))


def _without(columns: Sequence[Column], candidates: Candidates) -> list[Column]:
    return [column for column in columns if all(column is not guess.column for guess in candidates)]


def _text(column: Column) -> Guess | None:
    """Tell whether values are sentences: texts with blanks, of several words."""
    if column.origin == "path":
        return None
    values = column.values.drop_null().to_pylist()
    if sum(" " in value or not value.isascii() for value in values) <= len(values) / 2:
        return None
    words = sum(word_count(value) or len(value) // 4 for value in values) / len(values)
    if column.is_called(_TEXTS) and words > 1:
        return Guess(column, f"its name, {words:.0f} words on average", True)
    if words >= _SENTENCE_WORDS and len(column.counts) > len(column.values) / 2:
        return Guess(column, f"{words:.0f} words on average, nearly all different", not column.hint)
    return None


def _named_group(column: Column) -> Guess | None:
    if column.is_called(_LABELS):
        return None
    if column.is_key and column.clips >= 1.5 and not column.is_words:
        return Guess(column, f"a table says more of each of its {len(column.counts):,} values", True)
    if column.is_called(_GROUPS):
        return Guess(column, f"its name; {column.shown}", True)
    return None


def _labels(columns: Sequence[Column], *, has_text: bool) -> Candidates:
    """Return the columns that may be the label, the best first."""
    ranked: list[tuple[tuple[float, ...], Guess]] = []
    for column in columns:
        levels, clips = len(column.counts), len(column.values)
        missing = column.values.null_count / clips
        if levels > clips / 2 or missing > 0.5:
            continue
        is_few = levels <= _MOST_LEVELS and column.clips >= _OFTEN
        is_coded = any(map(str.isdigit, "".join(column.counts)))
        if column.is_called(_LABELS):
            rank, why, is_sure = 4.0 + column.is_called(_PRIMARY), "its name", True
        elif _are_labels(column):
            rank, why, is_sure = 4, "its values", True
        elif is_few and column.is_folder and not is_coded:
            rank, why, is_sure = 3, "a folder for each value", True
        elif is_few and column.origin == "path" and not _counts(column):
            # In names alone nothing says more than that: of several fields, the one with the most values.
            rank, why = 2 + min(levels, 30) / 100, "few values in the clips' names"
            is_sure = levels > 2 and not has_text
        elif is_few:
            rank, why, is_sure = 1, "few values", False
        else:
            continue
        guess = Guess(column, f"{why}: {column.shown}", is_sure)
        ranked.append(((rank, not is_coded, column.is_words, -missing, -levels), guess))
    ranked.sort(key=lambda each: each[0], reverse=True)
    return Candidates(guess for _, guess in ranked)


def _are_labels(column: Column) -> bool:
    values = [re.split("[_ ]", value.lower()) for value in column.counts]
    return sum(any(map(_VALUES.fullmatch, words)) for words in values) > len(values) / 2


def _counts(column: Column) -> bool:
    """Tell whether numbers in names count something: the last, those behind letters (rec1), those of many digits."""
    return column.is_number and (column.is_last or column.hint[-1:].isalpha() or max(map(len, column.counts)) > 2)


def _other_group(column: Column, label: Column | None, *, is_first: bool) -> Guess | None:
    """Tell whether a column may be the group, though no name says so: what comes first in names, ids in tables."""
    if column.clips < 1.5:
        return None
    crossing = _crossing(column, label) if label else 0.0
    is_sure = crossing > 1 and len(column.counts) >= _LEAST_GROUPS
    if column.origin == "path":
        is_sure = is_sure and not (column.is_number and column.is_last)
    else:
        is_sure = is_sure and not column.hint and is_first
    crossed = f", each with {crossing:.1f} values of {label.name}" if label else ""
    return Guess(column, f"{column.shown}{crossed}", is_sure)


def _crossing(column: Column, other: Column) -> float:
    """Return with how many values of another column one value goes, on average."""
    pairs = pc.binary_join_element_wise(column.values, other.values, "\n").drop_null()
    return len(pairs.unique()) / max(1, len(column.counts))


def _is_same(column: Column, label: Column) -> bool:
    """Tell whether a column is the label in other words: one value for each of its own."""
    return max(_crossing(column, label), _crossing(label, column)) <= 1.01
