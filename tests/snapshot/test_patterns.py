"""Path patterns and templates: every rule, by a path of a real data set or one made of fields."""

from __future__ import annotations

import contextlib
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.snapshot.patterns import AUDIO_EXTENSIONS, Pattern, Template, without_extension


def read(pattern: str, path: str, last: int | None = None) -> dict[str, str] | None:
    reading = Pattern(pattern).read(pa.array([path]), last)
    return {name: values[0].as_py() for name, values in reading.fields.items()} if reading.matched[0].is_valid else None


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("cv-{table}/{name}.mp3", "cv-a/cv-a/sample-000003.mp3", {"table": "a", "name": "sample-000003"}),
        ("{name}.wav", "anywhere/at all/x.wav", {"name": "x"}),
        ("s/{name}.wav", "as/x.wav", None),  # at a folder's border
        ("{name}.wav", "x.wav/y", None),
        ("/audio/{name}.wav", "audio/x.wav", {"name": "x"}),
        ("/audio/{name}.wav", "audio/audio/x.wav", None),  # with / in front: all of the path
        ("{a}/{b}.wav", "x/y/z.wav", {"a": "y", "b": "z"}),  # a field holds no /
        ("{a}_{b}.wav", "x_y_z.wav", {"a": "x", "b": "y_z"}),  # as short as possible, from the left …
        ("{a}_{b:d}.wav", "x_y_7.wav", {"a": "x_y", "b": "7"}),  # … as far as the whole still matches
        ("{n:d}.wav", "12.wav", {"n": "12"}),
        ("{n:d}.wav", "1a.wav", None),
        ("{n:d}.wav", "٣.wav", None),
        (
            "{s:2}{text:3}{emotion:1}{take:1}.wav",
            "03a01Fa.wav",
            {"s": "03", "text": "a01", "emotion": "F", "take": "a"},
        ),
        ("{s}_{emotion:a}{n:d}.wav", "DC_sa01.wav", {"s": "DC", "emotion": "sa", "n": "01"}),
        ("{e:a}.wav", "süß.wav", {"e": "süß"}),
        ("{a}{b:2}.wav", "abcd.wav", {"a": "ab", "b": "cd"}),
        ("{g}/{g}.{n}.wav", "jazz/jazz.00054.wav", {"g": "jazz", "n": "00054"}),  # a field that stands twice
        ("{g}/{g}.{n}.wav", "jazz/rock.00054.wav", None),
        ("{c}/{c}_{n}.wav", "dog_bark/dog_bark_1.wav", {"c": "dog_bark", "n": "1"}),
        ("{a}-{b}/{a}.wav", "x-y-z/x-y.wav", {"a": "x-y", "b": "z"}),
        ("{c}/{d}/{c}_{d}_{c}.wav", "a_b/c_d/a_b_c_d_a_b.wav", {"c": "a_b", "d": "c_d"}),
        ("{_}/{_}_{n}.wav", "a/b_1.wav", {"n": "1"}),  # {_} is no field
        ("{x}.*", "a.WAV", {"x": "a"}),
        ("{x}.*", "a.WAV.wav", {"x": "a.WAV"}),
        ("{x}.*", "a.txt", None),
        ("{x}.mp3", "a.MP3", {"x": "a"}),  # an extension that names audio, in any case
        ("{x}.Mp3", "a.mp3", {"x": "a"}),
        ("{x}.csv", "a.CSV", None),
        ("a+b (c)/{x}.wav", "a+b (c)/1.wav", {"x": "1"}),  # all else is literal
        ("a.b/{x}.wav", "aXb/1.wav", None),
        ("e\u0301/{x}.wav", "\u00e9/1.wav", {"x": "1"}),
        (r"a\{x}.wav", "a/1.wav", {"x": "1"}),
        ("{x}.wav", "a\nb.wav", {"x": "a\nb"}),
    ],
)
def test_pattern_reads_the_fields_of_a_path(pattern: str, path: str, fields: dict[str, str] | None) -> None:
    assert read(pattern, path) == fields


def test_pattern_reads_its_last_parts_in_a_shorter_path() -> None:
    pattern = "/data/fold{fold}/{name}.wav"
    assert read(pattern, "x.wav", last=1) == {"name": "x"}
    assert read(pattern, "fold3/x.wav", last=2) == {"fold": "3", "name": "x"}
    assert read(pattern, "x.wav") is None


def test_pattern_says_which_part_of_the_path_it_matched() -> None:
    matched = Pattern("{a}/{b}.wav").read(pa.array(["x/y/z.wav", "z.wav", None])).matched
    assert matched.to_pylist() == ["y/z.wav", None, None]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/{}*\\"), min_size=1, max_size=5)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=3), st.sampled_from(["", "x/y/"]))
def test_pattern_reads_what_a_template_wrote(parts: list[list[str]], above: str) -> None:
    """A path made of fields, with a separator that is in none of them, gives these fields back."""
    values = {
        f"f{i}_{j}": value.replace("-", "") or "v" for i, part in enumerate(parts) for j, value in enumerate(part)
    }
    written = "/".join("-".join(f"{{f{i}_{j}}}" for j in range(len(part))) for i, part in enumerate(parts)) + ".ogg"
    path = Template(written).fill({name: pa.array([value]) for name, value in values.items()})[0].as_py()
    assert read(written, above + path) == values


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.text(max_size=12) | st.text("{}/|:.*-ad3", max_size=12))
def test_pattern_and_template_take_any_text_or_refuse_it(text: str) -> None:
    with contextlib.suppress(ValueError):
        Pattern(text).read(pa.array(["a/b", None]))
    with contextlib.suppress(ValueError):
        template = Template(text)
        template.fill(dict.fromkeys(template.names, pa.array(["x", None])))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a", "braces should close"),
        ("a}", "braces should close"),
        ("{a{b}}", "braces should close"),
        ("{}.wav", "braces should close"),
        ("{a}{b}.wav", "nothing tells where {a} and {b} meet"),
        ("{a:d}{b:d}.wav", "nothing tells where"),
        ("{a}{_}.wav", "nothing tells where"),
        ("{a:x}.wav", "{a:x} is none of"),
        ("{a:0}.wav", "{a:0} is none of"),
        ("{a:1000}.wav", "{a:1000} is none of"),
        ("{a:}.wav", "{a:} is none of"),
        ("{:d}.wav", "{:d} is none of"),
        ("{a/b}.wav", "{a/b} is none of"),
        ("*.wav", "* stands at the end only"),
        ("a//{b}.wav", "has an empty part"),
        ("", "has an empty part"),
    ],
)
def test_pattern_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Pattern(text)


def fill(template: str, **values: str | None) -> str | None:
    columns = {name: pa.array([value], pa.string()) for name, value in values.items()}
    text: str | None = Template(template).fill(columns)[0].as_py()
    return text


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("a/{x}.mp3", "1", "a/1.mp3"),
        ("{x|stem}", r"a\b/c.d.MP3", "c.d"),
        ("{x|stem}", "1.5", "1.5"),
        ("{x|pad:6}.mp3", "2", "000002.mp3"),
        ("{x|pad:2}", "1234", "1234"),
        ("{x|stem|pad:4}", "a/7.wav", "0007"),
        ("{x}{x}", "ab", "abab"),
        ("{x}", None, None),
    ],
)
def test_template_fills_in_the_values_of_a_row(template: str, value: str | None, text: str | None) -> None:
    assert fill(template, x=value) == text


def test_template_names_any_column() -> None:
    assert Template("{duration[ms]}/{a b|stem}").names == ("duration[ms]", "a b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.mp3", "has no {name}"),
        ("{a", "braces should close"),
        ("{a|lower}", "{a|lower} is none of"),
        ("{a|pad:0}", "{a|pad:0} is none of"),
        ("{|stem}", "{|stem} is none of"),
    ],
)
def test_template_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Template(text)


def test_extensions_that_name_audio_are_taken_away_once() -> None:
    paths = [f"a/b.c.{each}" for each in AUDIO_EXTENSIONS] + ["a/b.c", "a/b.c.WAV", "a/b.c.mp3.wav"]
    expected = ["a/b.c"] * (len(AUDIO_EXTENSIONS) + 2) + ["a/b.c.mp3"]
    assert without_extension(pa.array(paths)).to_pylist() == expected
