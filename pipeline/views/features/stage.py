"""features: every shard of waveforms becomes a shard of measurements; valid ones are kept."""

from __future__ import annotations

from pipeline.core import schema
from pipeline.core.columns import with_role
from pipeline.core.errors import ShardError
from pipeline.core.params import load_params, load_runtime
from pipeline.core.terminal import amount
from pipeline.engines import engine_for
from pipeline.shards.derive import derive
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.waveforms.encodings import ENCODINGS
from pipeline.waveforms.worker_facts import worker_facts


def run() -> str:
    """Write ``data/features/``; return the message for the user."""
    params = load_params()
    shard = Shard(shard_paths(schema.WAVEFORMS)[0], DerivedSeal)
    settings = shard.seal.settings
    if settings["sample_rate"] < schema.LEAST_SAMPLE_RATE:  # an earlier version decoded to less
        raise ShardError(
            f"{schema.WAVEFORMS} has waveforms of {settings['sample_rate']} Hz, and features need "
            f"{schema.LEAST_SAMPLE_RATE} Hz or more; make them again with: dvc repro"
        )
    audio = ENCODINGS[settings["encoding"]].FIELD.name
    recipe = FeatureRecipe(params.features.f0_hz, with_role(shard.columns, "text"), audio)
    derived = derive(recipe, schema.WAVEFORMS, schema.FEATURES, engine_for(load_runtime(), worker_facts))
    return f"{amount(derived.rows, 'clip')} in {amount(derived.shards, 'shard')}; {derived.computed} measured now"
