"""Which columns have a role: groups first, then the label. Each guess says why, and whether it is sure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.words import word_count

# Words of a name, such as fsID, src_file, primary_label.
_GROUPS = (
    *("speaker", "spk", "spkr", "speakerid", "actor", "subject", "patient", "participant", "person", "client", "user"),
    *("singer", "artist", "composer", "performer", "author", "recordist", "fs", "freesound", "src", "recording"),
    *("song", "session", "track", "album", "video", "youtube", "identifier", "individual", "location"),
)
_LABELS = (
    *("label", "labels", "class", "category", "emotion", "genre", "species", "diagnosis", "disease", "condition"),
    *(
        "status",
        "target",
        "command",
        "keyword",
        "digit",
        "instrument",
        "scene",
        "language",
        "event",
        "dialect",
        "ebird",
    ),
)
_TEXTS = (
    "text",
    "sentence",
    "transcript",
    "transcription",
    "utterance",
    "normalized",
    "normalised",
    "script",
    "prompt",
)
# Values that are labels wherever they stand: a feeling (or its first letters), a verdict, a finding.
_FEELINGS = (
    *("anger", "angry", "hap", "happy", "happiness", "sad", "sadness", "neu", "neutral", "fear", "fearful", "fea"),
    *("disgust", "dis", "surprise", "surprised", "ps", "calm", "bored", "boredom", "ang", "sur", "excited", "joy"),
)
_VERDICTS = (
    *("bonafide", "spoof", "real", "fake", "genuine", "healthy", "normal", "abnormal", "positive", "negative"),
    *("covid", "copd", "asthma", "urti", "lrti", "murmur", "artifact"),
)
_MOST_LEVELS = 60  # of a label that no name gives away
_OFTEN = 3  # clips of a value, on average, that is one of few
_SENTENCE_WORDS = 5
_LOOKED_AT = 5000  # texts
_LEAST_GROUPS = 4  # that three splits can share


@dataclass(frozen=True)
class Known:
    """A column, as far as it is known.

    Attributes
    ----------
    name, source
        Ours, and that of the table or field.
    hint
        What it may be called: its name in the table, or the literal text in front of the field.
    origin
        ``path``, ``table``, or the table that is a lookup.
    is_folder, is_last, is_key
        Of a field: whether it is all of a folder's name, the last one of the file's; or by which a lookup is joined.
    """

    name: str
    source: str
    hint: str
    origin: str
    values: pa.StringArray = field(repr=False)
    is_folder: bool = False
    is_last: bool = False
    is_key: bool = False

    @property
    def is_named(self) -> bool:
        """Whether its name was chosen by whoever made the table."""
        return bool(self.hint)

    @cached_property
    def words(self) -> set[str]:
        """The words of its name."""
        return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", self.hint)}

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many clips have each value; none of a missing one."""
        counted = self.values.drop_null().value_counts()
        return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))

    @cached_property
    def codes(self) -> npt.NDArray[np.int64]:
        """A number for each value, -1 where it is missing."""
        codes: npt.NDArray[np.int64] = pc.fill_null(self.values.dictionary_encode().indices, -1).to_numpy()
        return codes.astype(np.int64)

    @cached_property
    def clips(self) -> float:
        """How many clips a value has, on average."""
        return sum(self.counts.values()) / max(1, len(self.counts))

    def known_as(self, words: Iterable[str]) -> str | None:
        """Return the first of `words` that is in its name."""
        return next((word for word in words if word in self.words), None)

    @property
    def is_words(self) -> bool:
        """Whether its values are words rather than numbers or codes."""
        good = sum(bool(re.fullmatch(r"[^\W\d]{3,}([-_ ,.&/()]+[^\W\d]+)*", value)) for value in self.counts)
        return good >= 0.8 * max(1, len(self.counts))

    @property
    def are_labels(self) -> bool:
        """Whether its values are feelings, verdicts, or the ten digits in front of something else."""
        if set(self.counts) == set("0123456789") and self.origin == "path" and not self.is_last:
            return True
        values = [value.lower().removeprefix("positive_").replace(" ", "_") for value in self.counts]
        return any(
            sum(bool(set(re.split(r"[_ ]", value)) & set(words)) for value in values) > len(values) / 2
            for words in (_FEELINGS, _VERDICTS)
        )


@dataclass(frozen=True)
class Guess:
    """A column that probably has a role, and why."""

    column: Known
    why: str
    is_sure: bool


@dataclass(frozen=True)
class Roles:
    """What was guessed; the candidates of each role, the best first."""

    labels: list[Guess]
    groups: list[Guess]
    texts: list[Guess]

    @property
    def is_any(self) -> bool:
        """Whether one is sure."""
        return any((self.label, self.group, self.text))

    @property
    def label(self) -> Guess | None:
        """The label, where it is sure."""
        return _sure(self.labels)

    @property
    def group(self) -> Guess | None:
        """The group, where it is sure."""
        return _sure(self.groups)

    @property
    def text(self) -> Guess | None:
        """The text, where it is sure."""
        return _sure(self.texts)


def _sure(guesses: list[Guess]) -> Guess | None:
    return guesses[0] if guesses and guesses[0].is_sure else None


def roles_of(columns: Sequence[Known]) -> Roles:
    """Guess the roles of columns."""
    usable = [column for column in columns if len(column.counts) > 1]
    texts = sorted(filter(None, map(_text, usable)), key=lambda each: -each.is_sure)
    rest = [column for column in usable if all(guess.column is not column for guess in texts)]
    named = [guess for column in rest if (guess := _named_group(column))]
    taken = {guess.column.name for guess in named}
    label = _label([column for column in rest if column.name not in taken], has_text=bool(texts))
    groups = named + _other_groups([column for column in rest if column.name not in taken], label)
    best = label[0].column if label and label[0].is_sure else None
    groups = [guess for guess in groups if best is None or not _determines(best, guess.column)]
    groups.sort(key=lambda guess: (not guess.is_sure, _GROUPS.index(guess.column.known_as(_GROUPS) or _GROUPS[-1])))
    return Roles(label, groups, texts)


def _text(column: Known) -> Guess | None:
    if column.origin == "path":
        return None
    values = column.values.drop_null()[:_LOOKED_AT].to_pylist()
    words = [word_count(value) or len(value) // 4 for value in values]
    mean = sum(words) / max(1, len(words))
    spaced = sum(" " in value or not value.isascii() for value in values) / max(1, len(values))
    listed = sum(bool(re.match(r"[\[{]|https?:|/", value)) for value in values)
    if spaced < 0.5 or listed > len(values) / 2:
        return None
    if column.known_as(_TEXTS) and mean > 1:
        return Guess(column, f"its name, {mean:.0f} words on average", True)
    if mean >= _SENTENCE_WORDS and len(column.counts) > len(column.values) / 2:
        return Guess(column, f"{mean:.0f} words on average, nearly all different", not column.is_named)
    return None


def _named_group(column: Known) -> Guess | None:
    word = column.known_as(_GROUPS)
    if column.is_key and column.clips >= 1.5 and not column.known_as(_LABELS) and not column.is_words:
        return Guess(column, f"a table says more of each of its {_values(column)}", True)
    if word is None or column.known_as(_LABELS):
        return None
    why = f"its name; {_values(column)}, {column.clips:.1f} clips each"
    return Guess(column, why, not column.is_words or column.origin != "path" or column.clips >= _OFTEN)


def _label(columns: Sequence[Known], *, has_text: bool) -> list[Guess]:
    """Return the columns that may be the label, the best first."""
    scored: list[tuple[float, Guess]] = []
    for place, column in enumerate(columns):
        levels, most = len(column.counts), len(column.values)
        missing = column.values.null_count / max(1, most)
        if not 2 <= levels <= max(most / 2, 2) or levels > 2000:
            continue
        is_number = _is_number(column)
        few = levels <= _MOST_LEVELS and column.clips >= _OFTEN
        word = column.known_as(_LABELS)
        score, why = 0.0, ""
        if column.are_labels:
            score, why = 4 - levels / 1000, "its values"
        if word and not (column.origin != "path" and column.words & {"sub", "secondary", "source"}):
            score, why = max(score, 5 if "primary" in column.words else 3), "its name"
        elif column.is_folder and few and not re.search("[0-9]", "".join(column.counts)):
            score, why = max(score, 3.2), "a folder for each value"
        if not score and few and column.origin == "path" and not (is_number and _counts(column)):
            score, why = 1 + min(levels, 30) / 30, "few values in the clips' names"
        elif not score and few:
            score, why = 0.5 + (column.is_words and missing < 0.1) / 4, "few values"
        if score:
            is_code = not is_number and any(map(str.isdigit, "".join(column.counts)))
            score += 0.3 * (not is_number) - 0.5 * is_code + 0.1 * column.is_words - missing - place / 1000
            is_sure = score >= 2.5 and missing < 0.5
            scored.append((score, Guess(column, f"{why}: {_values(column)}, {_evenness(column)}", is_sure)))
    scored.sort(key=lambda each: -each[0])
    guesses = [guess for _, guess in scored]
    # In names alone nothing says more than that: of several fields, the one with the most values that are still few.
    if guesses and not has_text and guesses[0].column.origin == "path" and len(guesses[0].column.counts) > 2:
        guesses[0] = Guess(guesses[0].column, guesses[0].why, True)
    return guesses


def _is_number(column: Known) -> bool:
    """Tell whether nearly all values are numbers."""
    numbers = pc.match_substring_regex(pa.array(column.counts, pa.string()), r"^[-+]?[0-9.]+$")
    return bool(pc.mean(numbers).as_py() > 0.8)


def _counts(column: Known) -> bool:
    """Tell whether numbers in names count something: the last, those behind letters (rec1), those of many digits."""
    return column.is_last or column.hint[-1:].isalpha() or max(map(len, column.counts)) > 2


def _other_groups(columns: Sequence[Known], label: Sequence[Guess]) -> list[Guess]:
    """Return columns that may be groups, though no name says so: what comes first in names, ids in tables."""
    best = label[0].column if label and label[0].is_sure else None
    guesses: list[Guess] = []
    is_first = True
    for place, column in enumerate(columns):
        is_too_few = column.origin != "path" and len(column.counts) < 2 * _LEAST_GROUPS and column.is_named
        if column is best or column.clips < 1.5 or is_too_few:
            continue
        crossing = 0.0 if best is None else _crossing(column, best)
        is_sure = False
        why = f"{_values(column)}, {column.clips:.1f} clips each"
        if best is not None and crossing > 1:
            why = f"{_values(column)}, each with {crossing:.1f} values of {best.name} on average"
        if column.origin == "path":
            is_candidate = crossing > 1 and not (_is_number(column) and column.is_last)
            is_sure = is_candidate and is_first and len(column.counts) >= _LEAST_GROUPS
            is_first = is_first and not is_candidate
        elif column.words & {"id", "uuid"}:
            is_sure = len(column.counts) > (len(best.counts) if best else 1)
            why = f"an id, {why}"
        else:
            is_sure = not column.is_named and place == 0 and crossing > 1
        guesses.append(Guess(column, why, is_sure))
    return guesses


def _crossing(group: Known, label: Known) -> float:
    """Return how many labels a group has, on average."""
    both = (group.codes >= 0) & (label.codes >= 0)
    pairs = np.unique(group.codes[both] * (1 + len(label.counts)) + label.codes[both])
    return len(pairs) / max(1, len(group.counts))


def _determines(label: Known, column: Known) -> bool:
    """Tell whether a column is the label in other words: one value for each of its own."""
    return (
        len(column.counts) <= len(label.counts) and _crossing(label, column) <= 1 and _crossing(column, label) <= 1.01
    )


def _values(column: Known) -> str:
    return f"{len(column.counts):,} values"


def _evenness(column: Known) -> str:
    counts = column.counts.values()
    return f"{min(counts):,} to {max(counts):,} clips each"
