"""Pictures for DVC: well-formed SVG without anything live, in which every number and name can be read again."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from pipeline.core import schema
from pipeline.report import numbers, plots
from tests.support.materials import ODD, SCRIPT, material, odd_material, with_columns

SVG = "{http://www.w3.org/2000/svg}"
STRATA = ("gender", "age")


def drawn(name: str, strata: tuple[str, ...] = STRATA) -> dict[str, ET.Element]:
    pictures = plots.overview(numbers.summarise(odd_material(name), strata, "proportional"))
    return {key: ET.fromstring(svg) for key, svg in pictures.items()}


def texts(picture: ET.Element, kind: str) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text") if each.get("class") == kind]


def bars(picture: ET.Element) -> list[dict[str, str]]:
    return [each.attrib for each in picture.findall(f"{SVG}g/{SVG}rect")]


@pytest.mark.parametrize("name", ODD)
def test_every_picture_can_be_drawn_and_nothing_in_it_is_live(name: str) -> None:
    pictures = drawn(name)
    assert set(pictures) == set(schema.PLOTS)
    for picture in pictures.values():
        assert {each.tag.removeprefix(SVG) for each in picture.iter()} <= {
            "svg",
            "title",
            "style",
            "rect",
            "text",
            "g",
            "path",
        }
        assert not [key for each in picture.iter() for key in each.attrib if key.startswith("on") or "href" in key]
        width, height = (float(picture.attrib[side]) for side in ("width", "height"))
        for bar in bars(picture):
            assert float(bar["x"]) >= 0
            assert float(bar["x"]) + float(bar["width"]) <= width
            assert float(bar["y"]) >= 0
            assert float(bar["y"]) + float(bar["height"]) + 34 <= height
        for text in picture.iter(f"{SVG}text"):
            assert 0 <= float(text.attrib["x"]) <= width
            assert 0 <= float(text.attrib["y"]) <= height


def test_names_of_a_table_are_text_whatever_is_in_them() -> None:
    wild = f"{SCRIPT} & ]]> \x1b[31m\x00 \ufffe"
    made = with_columns(material(), "population", "eligible", "sample", age=wild, stratum=wild)
    pictures = plots.overview(numbers.summarise(made, STRATA, "proportional"))
    for key in ("columns", "strata", "deviation"):
        (label,) = {each for each in texts(ET.fromstring(pictures[key]), "label") if each.startswith("<")}
        assert wild.startswith(label.removesuffix("…"))
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pictures.values())  # cut off before
    made = with_columns(made, "eligible", "sample", stratum="\x1b\x00\ufffe")
    svg = plots.overview(numbers.summarise(made, (), "proportional"))["strata"]
    assert texts(ET.fromstring(svg), "label") == ["\N{REPLACEMENT CHARACTER}" * 3]


def test_bars_are_as_long_as_their_numbers() -> None:
    report = numbers.summarise(material(90), STRATA, "proportional")
    picture = ET.fromstring(plots.overview(report)["strata"])
    assert texts(picture, "label") == [stratum.name for stratum in report.strata]
    expected = []
    for stratum in report.strata:
        expected += [stratum.eligible / report.metrics["eligible"], stratum.sample / report.metrics["accepted"]]
    widths = [float(bar["width"]) for bar in bars(picture)[:-2]]  # the last two are the legend's
    assert [width / max(widths) for width in widths] == pytest.approx(
        [each / max(expected) for each in expected], abs=1e-3
    )


def test_deviations_go_to_the_side_that_their_sign_says() -> None:
    report = numbers.summarise(material(90, drawn=31), STRATA, "proportional")
    picture = ET.fromstring(plots.overview(report)["deviation"])
    (zero,) = {
        float(re.match(r"M([\d.]+)", line.attrib["d"])[1])  # type: ignore[index]
        for line in picture.iter(f"{SVG}path")
        if line.get("stroke") == "#888"
    }
    deviations = [float(stratum.deviation) for stratum in report.strata if round(stratum.deviation, 3)]
    assert len(deviations) > 2
    names_end = max(float(each.attrib["x"]) for each in picture.iter(f"{SVG}text") if each.get("class") == "label")
    for bar, deviation in zip(bars(picture), deviations, strict=True):
        left, width = float(bar["x"]), float(bar["width"])
        assert left > names_end
        assert (left == pytest.approx(zero, abs=0.11)) == (deviation > 0)
        assert (left + width == pytest.approx(zero, abs=0.11)) == (deviation < 0)


def test_of_a_hundred_strata_the_largest_thirty_are_drawn_and_the_title_says_so() -> None:
    picture = drawn("a hundred strata")["strata"]
    assert len(texts(picture, "label")) == 30
    assert "the 30 largest of" in texts(picture, "title")[0]


def test_levels_of_silence_are_said_in_words() -> None:
    assert any("digital silence" in text for text in texts(drawn("digital silence")["levels"], "mark"))
