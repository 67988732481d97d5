"""The page: one file that shows the numbers of the report, and the text of tables as text, in a real browser too."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.audio.mel import MELS
from pipeline.report import card, html
from tests.report.materials import (
    ABOUT,
    ODD,
    SCRIPT,
    SPLITS,
    SPOKEN,
    example,
    odd_material,
    odd_report,
    report_of,
    with_columns,
)
from tests.support.browser import Page
from tests.support.project import Project


def rendered(name: str) -> str:
    columns = ODD[name].get("columns", SPOKEN)
    examples = [example(f"say {SCRIPT}", columns), example(None, columns, silent=True)]
    outliers = [example(f"say {SCRIPT}", columns, outlier=True), example(None, columns, outlier=True)]
    return html.render(odd_report(name), ABOUT, examples, outliers)


@pytest.mark.more
def test_page_has_the_same_bytes_for_the_same_data(reported: Project, reported_once: Project) -> None:
    before = reported_once.outputs()
    reported.stage("report")
    assert reported.outputs() == before


def test_page_is_small_and_has_no_address_and_no_script(reported_once: Project) -> None:
    data = (reported_once.root / "reports/report.html").read_bytes()
    assert len(data) < 3_000_000
    addresses = re.findall(rb'(?:src|href|url)\s*[=(]\s*"?([^")\s>]{1,8})', data)
    assert {address[:1] for address in addresses if not address.startswith(b"data:")} == {b"#"}
    assert b"<script" not in data
    assert str(reported_once.root).encode() not in data


def test_page_describes_every_picture_and_player_in_words(reported_once: Project) -> None:
    text = (reported_once.root / "reports/report.html").read_text()
    histograms = 4 + 3 + 2  # of sound, pitch of three genders, speaking rate and share of speech
    for pattern, count in {
        r'<img alt="Mel spectrogram[^"]{25,}"': 6,
        r'<svg[^>]* role="img" aria-label="Waveform[^"]{30,}"': 6,
        r'<div role="img" aria-label="Histogram[^"]{30,}"': histograms,
        r"<details><summary>The numbers</summary>\n<table>": histograms,
        r'<audio[^>]*aria-label="[^"]+"': 5 + 6,
    }.items():
        assert len(re.findall(pattern, text)) == count, pattern


@pytest.mark.parametrize("name", ODD)
def test_page_shows_odd_tables_as_text(name: str) -> None:
    text = rendered(name)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert ("(no sentence)" in text) == ("sentence" in text) == (not name.startswith("no text") and name != "no column")
    assert ("By gender" in text) == (name != "no column")
    assert "−∞\N{NO-BREAK SPACE}dB" in text
    assert not re.search(r"\b(inf|nan|None)\b", re.sub(r"base64,[^\"]*|None: all", "", text))
    assert ("None: all 30 examined clips are good." in text) == (name == "nothing rejected")
    assert text.rstrip().endswith("</html>")


def test_page_lets_each_text_of_the_data_have_its_own_direction() -> None:
    arabic = "\u0645\u0631\u062d\u0628\u0627."
    made = with_columns(odd_material("nothing rejected"), "population", "eligible", "sample", age=arabic)
    report = report_of(made)
    about = replace(ABOUT, title=arabic, citation=arabic)
    clips = [example(arabic), example(arabic, outlier=True)]
    clips = [replace(each, clip=replace(each.clip, clip_id=arabic)) for each in clips]
    text = html.render(report, about, clips[:1], clips[1:])
    tags = [tag for tag in re.findall(rf"<([^>]*)>[^<]*{arabic}", text) if tag != "title"]
    assert len(tags) > 10
    assert [tag for tag in tags if 'dir="auto"' not in tag and not tag.startswith("bdi")] == []


def test_page_and_card_count_one_clip_and_many_samples() -> None:
    report = odd_report("one clip")
    report.metrics.update(clipped_clips=1, clipped_samples=962, silent_clips=1)
    page, text = html.render(report, ABOUT, [], []), card.render(report, ABOUT)
    assert "962 samples of 1 clip had to be clipped" in page
    assert not re.search(r"\b1 (clips|samples)\b", f"{page} {text}")


def test_page_and_card_say_why_a_stratum_is_a_clip_or_more_from_its_share_only_where_one_is() -> None:
    report = odd_report("nothing rejected")
    for deviation, rejected, reason in (
        (0.99, 3, ""),
        (2.3, 1, "1 clip was rejected"),
        (2.3, 1234, "1,234 clips were"),
    ):
        report.metrics.update(largest_deviation_clips=deviation, rejected=rejected)
        for text in (html.render(report, ABOUT, [], []), card.render(report, ABOUT)):
            assert ("In the ranking itself it is always below 1" in text) == bool(reason)
            assert reason in text


def test_page_and_card_have_the_share_of_each_split_that_is_asked_and_that_there_is() -> None:
    report = odd_report("one clip")
    [(there, clips, hours)] = report.splits
    text = html.render(report, ABOUT, [], [])
    for name, asked in SPLITS.items():
        shares = [f"{asked:.1%}", "100.0%" if name == there else "0.0%", "1" if name == there else "0"]
        assert f">{name}</th><td>{'</td><td>'.join(shares)}</td>" in text
        assert f"| {name} | {' | '.join(shares)} |" in card.render(report, ABOUT)
    assert (clips, hours > 0) == (1, True)


def test_page_writes_thousands_with_commas_and_no_place_in_the_archive(reported_once: Project) -> None:
    text = (reported_once.root / "reports/report.html").read_text()
    archive = (reported_once.root / "data/demo/common-voice-demo.zip").stat().st_size
    assert f"<dt>archive size (bytes)</dt><dd>{archive:,}</dd>" in text
    assert "offset" not in text.partition("</style>")[2]
    assert {">1,000</span>", ">8,000 Hz</span>"} <= set(re.findall(r">[\d,]+(?: Hz)?</span>", text))


def test_page_has_all_of_a_hundred_strata_most_of_them_folded() -> None:
    report = odd_report("a hundred strata")
    text = rendered("a hundred strata")
    assert report.metrics["strata"] >= 100
    assert all(f">{stratum.name}</th>" in text for stratum in report.strata)
    assert f"{len(report.strata) - 20} smaller strata" in text


# In a real browser.

PICTURES = """Promise.all([...document.images].map(image => image.decode().then(
    () => [image.naturalWidth, image.naturalHeight])))"""

DURATIONS = """Promise.all([...document.querySelectorAll('audio')].map(player => new Promise((done, failed) => {
    const tell = () => Number.isFinite(player.duration) ? done(player.duration) : failed(Error('no duration'));
    player.onerror = () => failed(Error(player.error.message));
    if (player.error) player.onerror();
    player.readyState >= 1 ? tell() : player.onloadedmetadata = tell;
})))"""

PLAYED = """(async () => {
    const reached = [];
    for (const player of document.querySelectorAll('audio')) {
        const moved = new Promise((done, failed) => {
            player.onerror = () => failed(Error(player.error.message));
            player.ontimeupdate = () => player.currentTime > 0 && done(player.currentTime);
        });
        await player.play();
        reached.push(await moved);
        player.pause();
    }
    return reached;
})()"""

# The contrast of WCAG 2.2, 1.4.3, of every text that is visible, against the first background below it that is opaque.
CONTRASTS = """(() => {
    document.querySelectorAll('details').forEach(each => each.open = true);
    const parts = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const under = element => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parts(getComputedStyle(each).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
        const [a, b] = [parts(getComputedStyle(element).color), under(element)].map(light).sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
    }
    return found.sort((x, y) => x[0] - y[0]);
})()"""

SPILLED = """(width => [...document.querySelectorAll('body *')].filter(each => {
    if (each.closest('.scroll, .field') && !each.matches('.scroll, .field')) return false;
    const box = each.getBoundingClientRect();
    return box.width && (box.right > width + 0.5 || box.left < -0.5);
}).map(each => each.outerHTML.slice(0, 120)))"""


@pytest.fixture(scope="module")
def files(reported_once: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {"the demo": reported_once.root / "reports/report.html"}
    for number, name in enumerate(ODD):
        paths[name] = folder / f"{number}.html"
        paths[name].write_text(rendered(name))
    return paths


@pytest.fixture
def show(browser: Page, files: dict[str, Path]) -> Callable[..., Page]:
    def show(name: str, *, width: int = 1200, scheme: str = "light", medium: str = "") -> Page:
        browser.resize(width, phone=width < 600)
        browser.prefer(scheme, medium)
        browser.events.clear()
        browser.open(files[name])
        return browser

    return show


ROWS = """[...document.querySelectorAll('main table')].map(table => [...table.querySelectorAll('tbody tr')].map(
    row => [...row.cells].map(cell => cell.textContent.trim().split(/\\s+/).join(' '))))"""


def test_page_has_the_tables_that_pandas_counts(show: Callable[..., Page], reported_once: Project) -> None:
    data = reported_once.root / "data"
    population, ranking, sample = (
        pd.read_parquet(data / f"{name}.parquet") for name in ("snapshot/clips", "ranking", "sample")
    )
    shown = show("the demo").run(ROWS)
    frames = [population[population["table"].isin(["valid-train", "valid-dev", "valid-test"])], ranking, sample]
    for column, table in zip(("gender", "age", "accent"), shown[:3], strict=True):  # and votes
        counts = [frame[column].fillna("(missing)").value_counts() for frame in frames]
        assert {row[0] for row in table} == set(counts[0].index)
        for name, *cells in table:
            drawn_of = [int(count.get(name, 0)) for count in counts]
            assert cells == [f"{100 * n / len(frame):.1f}% {n}" for n, frame in zip(drawn_of, frames, strict=True)]
    eligible, drawn = (frame["stratum"].value_counts() for frame in (ranking, sample))
    assert {row[0] for row in shown[5]} == set(eligible.index)
    for name, *cells in shown[5]:
        exact, clips = len(sample) * eligible[name] / len(ranking), drawn.get(name, 0)
        assert cells[:3] == [str(eligible[name]), f"{exact:.2f}", str(clips)]
        assert float(cells[3].replace("−", "-").replace("±", "")) == pytest.approx(clips - exact, abs=0.0051)
    rejected = pd.read_csv(data / "rejected.csv").set_index("clip_id")["detail"]
    listed = [row for table in shown for row in table if row[0] in rejected.index]
    assert sorted(listed) == sorted([clip, " ".join(detail.split())] for clip, detail in rejected.items())


def test_page_has_pictures_that_fill_their_fields_and_share_their_time(
    show: Callable[..., Page], reported_once: Project
) -> None:
    frames = pd.read_parquet(reported_once.root / "data/waveforms")["num_samples"] // 128 + 1
    opened = show("the demo", width=375)
    pictures = opened.run(PICTURES)
    assert len(pictures) == 6
    assert all(width in set(frames) and height == MELS for width, height in pictures)
    boxes = "[...document.querySelectorAll('%s')].map(e => e.getBoundingClientRect()).map(b => [b.left, b.width])"
    fields, outlines = opened.run(boxes % ".field"), opened.run(boxes % ".outline")
    assert len(fields) == 12
    assert fields[0::2] == fields[1::2]
    for outline, field in zip(outlines, fields[0::2], strict=True):
        assert field[1] > 375 / 2
        assert outline == pytest.approx(field, abs=field[1] / 100)


def test_page_has_players_of_the_duration_of_their_clips_that_play(show: Callable[..., Page]) -> None:
    opened = show("the demo")
    durations = opened.run(DURATIONS)
    stated = opened.run(
        "[...document.querySelectorAll('.outlier > .quiet, .clip > .quiet')]"
        ".map(p => p.innerText.match(/([0-9.]+) s(,|$)/)[1])"
    )
    assert len(durations) == 5 + 6
    assert durations == pytest.approx([float(seconds) for seconds in stated], abs=0.06)
    assert all(seconds > 0 for seconds in opened.run(PLAYED))


@pytest.mark.parametrize("name", ["the demo", *ODD])
def test_page_fits_a_phone_runs_no_script_and_asks_no_network(show: Callable[..., Page], name: str) -> None:
    opened = show(name, width=320)
    opened.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    opened.run("new Promise(requestAnimationFrame)")
    assert opened.run(f"{SPILLED}(320)") == []
    assert opened.run("document.documentElement.scrollWidth") <= 320
    requested = opened.requested()
    assert len({address for address in requested if address.startswith("file:")}) == 1
    assert [address[:80] for address in requested if not address.startswith(("data:", "file:"))] == []
    assert opened.run("document.scripts.length") == 0
    if name == "the demo":  # the players of the others have no MP3
        assert opened.complaints() == []
    else:
        assert opened.run("document.title") != "broken"
        assert SCRIPT in opened.run("document.body.textContent")


@pytest.mark.parametrize("name", ["the demo", "a hundred strata"])
def test_page_is_readable_in_light_in_dark_and_on_paper(show: Callable[..., Page], name: str) -> None:
    backgrounds = []
    for scheme, medium in (("light", ""), ("dark", ""), ("dark", "print")):
        opened = show(name, scheme=scheme, medium=medium)
        contrasts = opened.run(CONTRASTS)
        assert len(contrasts) > 200
        assert contrasts[0][0] >= 4.5, contrasts[0]
        backgrounds.append(opened.run("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]
    assert backgrounds[2] == "rgb(255, 255, 255)"
    assert opened.run("[...document.querySelectorAll('audio')].every(each => !each.getClientRects().length)")
