"""The page: one file that says what it shows, in a real browser too, whatever stands in the tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.audio.mel import MELS
from pipeline.report import html, numbers
from pipeline.report.material import Material
from tests.support.browser import Page, chromium, find_chromium
from tests.support.materials import ABOUT, ODD, SCRIPT, example, odd_material, outlier_example
from tests.support.project import Project

CHROMIUM = find_chromium()
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: the report was not opened in a browser (apt-get install chromium)"
)
STRATA = ("gender", "age")


def rendered(made: Material, strata: tuple[str, ...] = STRATA) -> str:
    report = numbers.summarise(made, strata, "proportional")
    examples = [example(f"say {SCRIPT}"), example(None, None, silent=True)]
    return html.render(report, ABOUT, examples, [outlier_example(f"say {SCRIPT}"), outlier_example(None, None)])


@pytest.mark.more
def test_the_same_outputs_give_the_same_bytes(reported: Project, reported_once: Project) -> None:
    before = reported_once.outputs()
    reported.stage("report")
    assert reported.outputs() == before


def test_it_is_small_and_names_no_address(reported_once: Project) -> None:
    data = (reported_once.root / "reports/report.html").read_bytes()
    assert len(data) < 3_000_000
    addresses = re.findall(rb'(?:src|href|url)\s*[=(]\s*"?([^")\s>]{1,8})', data)
    assert {address[:1] for address in addresses if not address.startswith(b"data:")} == {b"#"}
    assert b"<script" not in data
    assert str(reported_once.root).encode() not in data


def test_every_picture_and_player_is_said_in_words(reported_once: Project) -> None:
    text = (reported_once.root / "reports/report.html").read_text()
    spectrograms = re.findall(r"<img[^>]*>", text)
    waveforms = re.findall(r"<svg[^>]*>", text)
    assert len(spectrograms) == len(waveforms) == 6
    assert all(re.search(r'alt="Mel spectrogram[^"]{25,}"', picture) for picture in spectrograms)
    assert all(re.search(r'role="img" aria-label="Waveform[^"]{30,}"', picture) for picture in waveforms)
    drawn = re.findall(r'<div role="img"[^>]*>', text)
    assert len(drawn) == 9  # four of sound, pitch of three genders, speaking rate, share of speech
    assert all("Histogram" in picture for picture in drawn)
    assert text.count("<details><summary>The numbers</summary>\n<table>") == 9
    assert all("aria-label" in player for player in re.findall(r"<audio[^>]*>", text))


@pytest.mark.parametrize("name", ODD)
def test_what_stands_in_a_table_shows_as_text(name: str) -> None:
    text = rendered(odd_material(name), () if name == "one stratum" else STRATA)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert text.rstrip().endswith("</html>")


def test_a_sample_without_rejected_clips_says_so() -> None:
    assert "None: all 30 clips that were examined are good." in rendered(odd_material("nothing rejected"))


def test_silence_and_what_is_missing_have_words() -> None:
    text = rendered(odd_material("digital silence"))
    assert "−∞\N{NO-BREAK SPACE}dB" in text
    assert "(no sentence)" in text
    assert "inf" not in re.sub(r"base64,[^\"]*|[a-z]*inf[a-z]+|[a-z]+inf", "", text)


def test_a_hundred_strata_are_all_there_most_of_them_folded() -> None:
    report = numbers.summarise(odd_material("a hundred strata"), STRATA, "proportional")
    text = rendered(odd_material("a hundred strata"))
    assert report.metrics["strata"] >= 100
    assert all(f">{stratum.name}</th>" in text for stratum in report.strata)
    assert f"{len(report.strata) - 20} smaller strata" in text


# In a real browser.

LOADED = """Promise.all([...document.images].map(image => image.decode().then(
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
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert CHROMIUM is not None
    with chromium(CHROMIUM, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def files(reported_once: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {"the demo": reported_once.root / "reports/report.html"}
    for number, name in enumerate(ODD):
        paths[name] = folder / f"{number}.html"
        paths[name].write_text(rendered(odd_material(name)))
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


@in_a_browser
def test_the_tables_say_what_pandas_counts(show: Callable[..., Page], reported_once: Project) -> None:
    data = reported_once.root / "data"
    csv = [pd.read_csv(data / f"snapshot/tables/cv-valid-{part}.csv", dtype=str) for part in ("train", "dev", "test")]
    frames = [pd.concat(csv), pd.read_parquet(data / "ranking.parquet"), pd.read_parquet(data / "sample.parquet")]
    said = show("the demo").run(ROWS)
    for column, table in zip(STRATA, said[:2], strict=True):
        counts = [frame[column].fillna("(missing)").value_counts() for frame in frames]
        assert {row[0] for row in table} == set(counts[0].index)
        for name, *cells in table:
            numbers = [int(count.get(name, 0)) for count in counts]
            shares = [f"{100 * n / len(frame):.1f}% {n}" for n, frame in zip(numbers, frames, strict=True)]
            assert cells == shares
    eligible, sample = (frame["stratum"].value_counts() for frame in frames[1:])
    assert {row[0] for row in said[2]} == set(eligible.index)
    for name, *cells in said[2]:
        exact = len(frames[2]) * eligible[name] / len(frames[1])
        drawn = sample.get(name, 0)
        assert cells[:3] == [str(eligible[name]), f"{exact:.2f}", str(drawn)]
        assert float(cells[3].replace("−", "-").replace("±", "")) == pytest.approx(drawn - exact, abs=0.0051)
    rejected = pd.read_csv(data / "rejected.csv").set_index("clip_id")["detail"]
    listed = [row for table in said for row in table if row[0] in rejected.index]
    assert sorted(listed) == sorted([clip, " ".join(detail.split())] for clip, detail in rejected.items())


@in_a_browser
def test_splits_leaks_bytes_and_levels_say_what_pandas_counts(
    show: Callable[..., Page], reported_once: Project
) -> None:
    opened, data = show("the demo"), reported_once.root / "data"
    cells = "row => [...row.cells].map(cell => cell.innerText)"

    def rows(section: str) -> list[list[str]]:
        found: list[list[str]] = opened.run(
            f"[...document.querySelectorAll('section[aria-labelledby={section}] tbody tr')].map({cells})"
        )
        return found

    shards = pd.read_parquet(data / "waveforms").sort_values("rank")
    hours = shards.groupby("split")["duration_seconds"].sum() / 3600
    clips = shards["split"].value_counts().sort_index()
    expected = [[str(name), str(n), f"{n / len(shards):.1%}", f"{hours[str(name)]:.3f}"] for name, n in clips.items()]
    ranking = pd.read_parquet(data / "ranking.parquet")
    shipped = pd.concat(
        pd.read_csv(data / f"snapshot/tables/cv-valid-{part}.csv").assign(split=f"valid-{part}")
        for part in ("train", "dev", "test")
    )
    orders = (("dev", "test", "train"), ("valid-train", "valid-dev", "valid-test"))
    for frame, order in zip((ranking, shipped), orders, strict=True):
        sets = [set(frame.loc[frame["split"] == name, "text"].str.lower().str.split().str.join(" ")) for name in order]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            both = len(sets[one] & sets[other])
            expected.append([f"{order[one]} and {order[other]}", f"{len(sets[one])} and {len(sets[other])}", str(both)])
    assert rows("splits") == expected

    sizes = [sum(path.stat().st_size for path in (data / "waveforms").iterdir())]
    sizes += [sum(map(len, pd.read_parquet(data / "clips")["mp3"])), 4 * int(shards["num_samples"].sum())]
    said = sorted(row[1] for row in rows("disk-usage"))
    assert said == sorted(f"{size / 1e6:,.2f}\N{NO-BREAK SPACE}MB" for size in sizes)

    text = opened.run("document.querySelector('section[aria-labelledby=sound] p').innerText")
    words = shards["text"].str.count(" ") + 1
    assert f"From {shards['duration_seconds'].min():.2f} to {shards['duration_seconds'].max():.2f} seconds" in text
    assert f"{words.min()} to {words.max()} words in a sentence, {words.mean():.1f} on average" in text
    assert f"{shards['peak_dbfs'].median():.1f}".replace("-", "−") in text
    assert f"{shards['rms_dbfs'].median():.1f}".replace("-", "−") in text


@in_a_browser
def test_every_spectrogram_loads(show: Callable[..., Page], reported_once: Project) -> None:
    frames = pd.read_parquet(reported_once.root / "data/waveforms").sort_values("rank")["num_samples"] // 128 + 1
    loaded = show("the demo").run(LOADED)
    assert len(loaded) == 6
    assert all(width in set(frames) and height == MELS for width, height in loaded)


@in_a_browser
@pytest.mark.parametrize("width", [375, 1200])
def test_every_waveform_and_spectrogram_fills_its_field_and_shares_its_time(
    show: Callable[..., Page], width: int
) -> None:
    opened = show("the demo", width=width)
    fields = opened.run(
        "[...document.querySelectorAll('.field')].map(f => f.getBoundingClientRect()).map(b => [b.left, b.width])"
    )
    outlines = opened.run(
        "[...document.querySelectorAll('.outline')].map(p => p.getBoundingClientRect()).map(b => [b.left, b.width])"
    )
    assert len(fields) == 12
    assert fields[0::2] == fields[1::2]
    assert all(each[1] > width / 2 for each in fields)
    for outline, field in zip(outlines, fields[0::2], strict=True):
        assert outline == pytest.approx(field, abs=field[1] / 100)


@in_a_browser
def test_every_player_has_the_duration_of_its_clip_and_plays(show: Callable[..., Page]) -> None:
    opened = show("the demo")
    durations = opened.run(DURATIONS)
    said = opened.run(
        "[...document.querySelectorAll('.outlier > .quiet, .clip > .quiet')]"
        ".map(p => p.innerText.match(/([0-9.]+) s(,|$)/)[1])"
    )
    assert len(durations) == 5 + 6
    assert durations == pytest.approx([float(seconds) for seconds in said], abs=0.06)
    assert all(seconds > 0 for seconds in opened.run(PLAYED))


@in_a_browser
@pytest.mark.parametrize("name", ["the demo", *ODD])
def test_nothing_is_fetched_from_a_network_and_nobody_complains(show: Callable[..., Page], name: str) -> None:
    opened = show(name)
    opened.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    opened.run("new Promise(requestAnimationFrame)")
    requested = opened.requested()
    assert requested
    assert [address[:80] for address in requested if not address.startswith(("data:", "file:"))] == []
    assert len({address for address in requested if address.startswith("file:")}) == 1
    if name == "the demo":  # the players of the others hold no MP3
        assert opened.complaints() == []


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["the demo", "a hundred strata"])
def test_text_stands_out_from_what_is_below_it(show: Callable[..., Page], name: str, scheme: str) -> None:
    opened = show(name, scheme=scheme)
    assert opened.run(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    contrasts = opened.run(CONTRASTS)
    assert len(contrasts) > 200
    assert contrasts[0][0] >= 4.5, contrasts[0]


@in_a_browser
def test_light_and_dark_differ(show: Callable[..., Page]) -> None:
    colours = [
        show("the demo", scheme=scheme).run("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert colours[0] != colours[1]


@in_a_browser
def test_paper_is_white_and_has_no_players(show: Callable[..., Page]) -> None:
    opened = show("the demo", scheme="dark", medium="print")
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.run("[...document.querySelectorAll('audio')].every(each => !each.getClientRects().length)")
    assert opened.run(CONTRASTS)[0][0] >= 4.5


@in_a_browser
@pytest.mark.parametrize("name", ["the demo", *ODD])
@pytest.mark.parametrize("width", [320, 375])
def test_the_page_does_not_scroll_sideways(show: Callable[..., Page], name: str, width: int) -> None:
    opened = show(name, width=width)
    opened.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert opened.run(f"{SPILLED}({width})") == []
    assert opened.run("document.documentElement.scrollWidth") <= width


@in_a_browser
@pytest.mark.parametrize("name", ODD)
def test_no_script_of_a_table_runs(show: Callable[..., Page], name: str) -> None:
    opened = show(name)
    assert opened.run("document.title") != "broken"
    assert opened.run("document.scripts.length") == 0
    assert SCRIPT in opened.run("document.body.textContent")
