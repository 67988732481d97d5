"""Whether an audio file is whole: bytes in, a `Sound` with its exact number of frames or `Rejected` out. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.audio import decode, flac
from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason


def check(data: bytes) -> Sound:
    """Walk over a file, and ask the decoder only where the walk leaves a doubt.

    An MP3 is decoded where nothing tells how many samples the decoder yields; a FLAC always, as only its MD5 finds all
    damage; and floats, which may be no numbers. Of the others, libsndfile reads the header: it has to find the same
    number of frames. Where it does not, as in an Ogg whose first page is not the beginning of a stream, a decode
    decides.

    Raises Rejected as `walk` does; with EMPTY if it has no samples, DAMAGED if they are others than a FLAC's MD5 says,
    or infinite, and UNDECODABLE if the decoder refuses the file, or yields another number of frames.
    """
    sound = walk(data)
    if sound.frames == 0:
        raise Rejected(Reason.EMPTY, f"{sound.name} without a sample")
    if sound.format == "FLAC":
        return replace(sound, frames=flac.count_frames(data, decode.blocks(sound, "int32")))
    if sound.subtype in {"FLOAT", "DOUBLE"}:
        finite = [np.isfinite(block).all() for block in decode.blocks(sound, "float32")]
        if not all(finite):
            raise Rejected(Reason.DAMAGED, "not all of its samples are finite numbers")
    declared = (sound.sample_rate, sound.channels, sound.frames)
    if sound.frames is None or (sound.format != "MP3" and decode.header(sound) != declared):
        return replace(sound, frames=sum(map(len, decode.blocks(sound, "float32"))))
    return sound
