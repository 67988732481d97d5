"""waveforms: every shard of MP3s → a shard of waveforms, decoded side by side; what is still right stays."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio import decode
from pipeline.core import schema
from pipeline.core.params import load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.engines import local
from pipeline.shards import sealed
from pipeline.snapshot.description import describe
from pipeline.waveforms.shard import Recipe, make_shard


def run() -> str:
    """Write ``data/waveforms/``; return what to tell the user."""
    params = load_params()
    description = describe(params.snapshot)
    facts = {
        "version": schema.VERSION,
        "decoder": {**decode.decoder_versions(), "pyarrow": pa.__version__},
        "snapshot": params.snapshot,
        "title": description.title,
        "license": description.license,
    }
    recipe = Recipe(params.waveforms.sample_rate, params.waveforms.encoding, facts)
    sources = sealed.shard_paths(schema.CLIPS)
    processes = load_runtime().processes
    if min(processes, len(sources)) > 1:
        local.prepare(make_shard)
    folder = sealed.ShardFolder(schema.WAVEFORMS)
    made_from = {path: seal["fingerprint"] for path, seal in sealed.read_whole_seals(folder.existing()).items()}

    def is_right(path: Path, expected: str) -> bool:
        return made_from.get(path) == expected

    tasks: dict[str, tuple[Path, Path, Recipe, Path]] = {}
    for number, source in enumerate(sources):
        expected = recipe.seal(sealed.read_seal(source))["fingerprint"]
        if not folder.find(number, partial(is_right, expected=expected)):
            tasks[source.name] = (source, folder.new(number), recipe, folder.published(number))
    clips = {source.name: pq.read_metadata(source).num_rows for source in sources}
    decoded = 0
    with progress("waveforms", sum(clips[name] for name in tasks), "clips") as bar:
        for name, count in local.map_shards(make_shard, tasks, processes):
            decoded += count
            bar.update(clips[name])
    folder.publish(len(sources))
    return f"{sum(clips.values())} waveforms in {len(sources)} shards; {decoded} decoded now"
