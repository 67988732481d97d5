"""How the ranking compares with other ways to draw a stratified sample, and how fast it is.

Run from the root: ``python benchmarks/sampling.py``. It draws from a generated table, or with ``--tables DIR`` from the
tables ``cv-*.csv`` of a folder, and prints tables in Markdown (docs/sampling.md shows them for the real tables). With
``--picture FILE`` it draws the picture of that page. `datasets` is compared where it can be imported.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here

from pipeline.core.columns import Column
from pipeline.sampling.ranking import rank, strata_of
from pipeline.sampling.sentences import normalise
from pipeline.sampling.shares import Allocation, Shares
from pipeline.sampling.splits import assign
from pipeline.snapshot.layout import Dialect
from pipeline.snapshot.tables import read_rows
from tests.support.deviation import largest_deviation

STRATA = ["gender", "age", "accent"]
COLUMNS = [Column("text", roles=("text",), is_apart=True), *map(Column, STRATA)]
SPLITS = {"train": 0.8, "dev": 0.1, "test": 0.1}
SEEDS = range(20)
SMALL, LARGE = 1000, 1100
MANY = 380_000  # clips of the Kaggle snapshot
Sampler = Callable[[pd.DataFrame, int, int], "set[str]"]  # table, how many, seed → clip ids


def generated(rows: int, strata: int = 300) -> pd.DataFrame:
    """Return a table whose largest stratum is `strata` times the smallest, and whose sentences repeat."""
    share = 1 / np.arange(1, strata + 1)
    numbers = np.arange(rows)
    stratum = np.searchsorted(np.cumsum(share) / share.sum(), (numbers + 0.5) / rows)
    frame = pd.DataFrame({"clip_id": [f"generated/sample-{number:06}" for number in numbers]})
    frame["table"] = np.where(numbers % 2, "valid-dev", "valid-test")
    frame["text"] = [f"this is the sentence number {number % 6_997}" for number in numbers]
    for column, codes in zip(STRATA, (stratum % 3, stratum // 3 % 10, stratum // 30), strict=True):
        frame[column] = [f"{column}{code}" for code in codes]
    return frame


def read(folder: Path) -> pd.DataFrame:
    """Return all tables of a folder as one."""
    frames = []
    for path in sorted(folder.glob("cv-*.csv")):
        cells = read_rows(path.name, path.read_bytes(), Dialect(), {}).columns
        frame = pd.DataFrame({name: cells[name].to_pandas() for name in ("filename", "text", *STRATA)})
        frame["clip_id"] = frame.pop("filename").str.removeprefix("cv-").str.removesuffix(".mp3")
        frames.append(frame.assign(table=path.stem.removeprefix("cv-")))
    return pd.concat(frames, ignore_index=True)


def declared(clips: pd.DataFrame) -> pa.Table:
    """Return the clips as the table that `stratify` ranks."""
    schema = pa.schema([("clip_id", pa.string()), ("table", pa.string()), *(column.field for column in COLUMNS)])
    return pa.Table.from_pandas(clips, schema=schema, preserve_index=False)


def ranked(clips: pa.Table, allocation: Allocation, seed: int, strata: list[str] | None = None) -> pa.Table:
    """Assign splits, and rank."""
    split = pa.array(assign(clips, SPLITS, seed=seed), pa.string())
    return rank(clips.append_column("split", split), STRATA if strata is None else strata, allocation, seed=seed)


def ours(clips: pd.DataFrame, count: int, seed: int) -> set[str]:
    """Draw with this project."""
    return set(ranked(declared(clips), "proportional", seed)["clip_id"][:count].to_pylist())


def with_sklearn(clips: pd.DataFrame, count: int, seed: int) -> set[str]:
    """Draw with scikit-learn."""
    strata = strata_of(declared(clips), STRATA)
    drawn, _ = train_test_split(clips["clip_id"], train_size=count, stratify=strata, random_state=seed)
    return set(drawn)


def with_datasets(clips: pd.DataFrame, count: int, seed: int) -> set[str]:
    """Draw with Hugging Face datasets."""
    frame = pd.DataFrame({"clip_id": clips["clip_id"], "stratum": strata_of(declared(clips), STRATA).astype(str)})
    dataset = importlib.import_module("datasets").Dataset.from_pandas(frame, preserve_index=False)
    dataset = dataset.class_encode_column("stratum")
    return set(dataset.train_test_split(train_size=count, stratify_by_column="stratum", seed=seed)["train"]["clip_id"])


def with_pandas(clips: pd.DataFrame, count: int, seed: int) -> set[str]:
    """Draw with pandas."""
    groups = clips.groupby(strata_of(declared(clips), STRATA))
    return set(groups.sample(frac=count / len(clips), random_state=seed)["clip_id"])


SAMPLERS: dict[str, Sampler] = {
    "this ranking": ours,
    "`train_test_split(stratify=…)`, scikit-learn": with_sklearn,
    "`train_test_split(stratify_by_column=…)`, datasets": with_datasets,
    "`groupby(…).sample(frac=…)`, pandas": with_pandas,
}


def compare(clips: pd.DataFrame) -> None:
    """Print what each way gives; one that rejects the table is measured without the strata of a single clip."""
    strata = pd.Series(strata_of(declared(clips), STRATA), index=clips.index)
    without_singles = clips[strata.map(strata.value_counts()) > 1]
    print(f"| drawn with | clips of {SMALL} | largest deviation | still in {LARGE} | without a row | one-clip strata |")
    print("|---|---|---|---|---|---|")
    for name, draw in SAMPLERS.items():
        try:
            draw(clips, SMALL, 0)
        except ImportError:
            print(f"{name}: not installed", file=sys.stderr)
        except ValueError as error:
            print(f"{name} rejects the whole table: {error}", file=sys.stderr)
            print(f"| {name} | {measure(without_singles, draw)} | rejected |")
        else:
            print(f"| {name} | {measure(clips, draw)} | accepted |")


def measure(clips: pd.DataFrame, draw: Sampler) -> str:
    """Return how many clips are drawn, how far off the exact shares, and how many of them stay in two other samples.

    One is larger; the other is drawn from the table without its first row.
    """
    stratum = dict(zip(clips["clip_id"], strata_of(declared(clips), STRATA), strict=True))
    population = Counter(stratum.values())
    counts, deviations, grown, local = [], [], [], []
    for seed in SEEDS:
        small, large = draw(clips, SMALL, seed), draw(clips, LARGE, seed)
        drawn = Counter(stratum[clip] for clip in small)
        deviations.append(max(abs(drawn[name] - SMALL * size / len(clips)) for name, size in population.items()))
        counts.append(len(small))
        grown.append(len(small & large) / len(small))
        local.append(len(small & draw(clips[1:], SMALL, seed)) / len(small))
    sizes = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"{sizes} | {max(deviations):.2f} | {np.mean(grown):.1%} | {np.mean(local):.1%}"


def check(clips: pd.DataFrame) -> None:
    """Print the largest deviation over all prefixes, the leak, and how well rare strata are represented."""
    print("\n| allocation | strata | largest deviation of any prefix from the exact shares |\n|---|---|---|")
    allocations: tuple[Allocation, ...] = ("proportional", "equal", 0.5)
    for allocation in allocations:
        strata = ranked(declared(clips), allocation, 2017)["stratum"].to_pylist()
        sizes = Counter(strata)
        print(f"| {allocation} | {len(sizes)} | {float(largest_deviation(strata, allocation)):.6f} |")

    rare = {name: size for name, size in sizes.items() if size <= 7}
    first = [ranked(declared(clips), "proportional", seed)["stratum"][:SMALL].to_pylist() for seed in SEEDS]
    drawn = [sum(stratum in rare for stratum in strata) for strata in first]
    share = SMALL * sum(rare.values()) / len(clips)
    print(f"\nclips of strata of 7 or fewer, in {SMALL}: exact share {share:.2f}, mean over seeds {np.mean(drawn):.2f}")

    shipped = clips[clips["table"].isin(["valid-dev", "valid-test"])]
    sentence = shipped["text"].map(normalise)
    split = pd.Series(assign(declared(shipped), SPLITS, seed=2017), index=shipped.index)
    before, after = ((part.groupby(sentence).nunique() > 1).sum() for part in (shipped["table"], split))
    listed = ", ".join(f"{name} {share:.1%}" for name, share in split.value_counts(normalize=True).items())
    print(f"sentences in more than one of valid-dev and valid-test: {before}; of our splits: {after} ({listed})")


def timed(folder: Path | None, allocation: Allocation) -> str:
    """Rank as many clips as the whole snapshot has; to be called in a process of its own."""
    clips = generated(MANY) if folder is None else read(folder)
    strata = STRATA if folder is None else [*STRATA, "table"]
    times = -(-MANY // len(clips))
    clips = pd.concat([clips.assign(clip_id=clips["clip_id"] + f"/{n}") for n in range(times)]).iloc[:MANY]
    table = declared(clips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux: getrusage(2)
    start = time.perf_counter()
    order = ranked(table, allocation, 2017, strata)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    more, peak = (after - before) / 1024, after / 1024
    count = len(order["stratum"].unique())
    return f"| {allocation} | {order.num_rows} | {count} | {seconds:.1f} | {peak:.0f} | {more:.0f} |"


def draw_picture(path: Path) -> None:
    """Draw how the counts of four strata follow their exact shares."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 (its backend has to be chosen before)

    sizes = {"female, us": 29, "male, us": 17, "male, england": 5, "other, wales": 1}
    gender = np.repeat(list(sizes), list(sizes.values()))
    clips = generated(len(gender), 1).assign(gender=gender)
    order = ranked(declared(clips), "proportional", 2017, ["gender"]).to_pandas()
    shares = Shares(list(sizes.values()), "proportional")
    figure, (counts, row) = plt.subplots(
        2, 1, figsize=(8, 5.2), height_ratios=[9, 1], sharex=True, layout="constrained"
    )
    at = np.arange(len(order) + 1)
    for place, (name, size) in enumerate(sizes.items()):
        drawn = order["gender"] == name
        exact = np.array([float(shares.of(place, int(n))) for n in at])
        counts.fill_between(at, exact - 1, exact + 1, color=f"C{place}", alpha=0.15, linewidth=0)
        counts.plot(at, exact, color=f"C{place}", linewidth=0.8)
        counts.step(at, np.concatenate([[0], drawn.cumsum()]), where="post", color=f"C{place}", linewidth=1.8)
        counts.text(len(order) + 0.6, size, f"{name}: {size}", color=f"C{place}", va="center")
        row.scatter(at[1:][drawn], np.zeros(size), color=f"C{place}", marker="s", s=38)
    counts.set(ylabel="clips of the stratum", ylim=(-1.2, max(sizes.values()) + 1.2), xlim=(-0.6, len(order) * 1.2))
    row.set(xlabel="clips in the sample: any prefix of the ranking", xticks=range(0, 51, 10), yticks=[], ylim=(-1, 1))
    for axes in (counts, row):
        axes.spines[["top", "right"]].set_visible(False)
    row.spines["left"].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    """Compare, check and time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=Path, metavar="DIR", help="a folder with tables cv-*.csv")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="only draw the picture")
    arguments = parser.parse_args()
    if arguments.picture:
        draw_picture(arguments.picture)
        return
    clips = generated(40_000) if arguments.tables is None else read(arguments.tables)
    compare(clips)
    check(clips)
    print("\n| allocation | clips | strata | seconds | peak of the process, MiB | of that by ranking, MiB |")
    print("|---|---|---|---|---|---|")
    for allocation in ("proportional", "equal", 0.5):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            print(alone.submit(timed, arguments.tables, allocation).result())


if __name__ == "__main__":
    main()
