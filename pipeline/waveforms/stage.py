"""waveforms: every shard of clips becomes a shard of waveforms; what is still right stays."""

from __future__ import annotations

from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.core.errors import ShardError
from pipeline.core.params import load_params, load_runtime
from pipeline.core.terminal import amount
from pipeline.engines import engine_for
from pipeline.shards.derive import derive
from pipeline.shards.folder import shard_paths
from pipeline.shards.sealed import Seal, Shard
from pipeline.waveforms.encodings import encoding_named
from pipeline.waveforms.shard import WaveformRecipe
from pipeline.waveforms.worker_facts import worker_facts


def run() -> str:
    """Write ``data/waveforms/``; return what to tell the user."""
    params = load_params()
    encoding_named(params.waveforms.encoding)
    clips = Shard(shard_paths(schema.CLIPS)[0], Seal)
    if clips.seal.snapshot != params.snapshot:
        raise ShardError(
            f"{schema.CLIPS} has clips of the snapshot {clips.seal.snapshot}, and params.yaml asks for "
            f"{params.snapshot}; get them with: dvc repro subsample"
        )
    wanted = params.waveforms
    recipe = WaveformRecipe(wanted.sample_rate, wanted.encoding, tuple(fields(clips.columns)), wanted.excerpt)
    derived = derive(recipe, schema.CLIPS, schema.WAVEFORMS, engine_for(load_runtime(), worker_facts))
    return f"{amount(derived.rows, 'waveform')} in {amount(derived.shards, 'shard')}; {derived.computed} decoded now"
