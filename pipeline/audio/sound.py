"""What a walk over an audio file finds without decoding it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000  # Hz
MOST_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class Sound:
    """An audio file; `format` and `subtype` are libsndfile's names, such as WAV and PCM_16."""

    format: str
    subtype: str
    sample_rate: int  # Hz
    channels: int
    frames: int | None  # samples of each channel that a decode yields; None where only a decode can tell,
    shortest: int = field(default=0, compare=False)  # and between which numbers they are then
    longest: int = field(default=2**63, compare=False)
    # The bytes for the decoder: the file, or another form of it where libsndfile would not read all of the file.
    readable: bytes = field(default=b"", compare=False, repr=False)
    # Of Ogg Vorbis, the frame where its last page begins; of a recording that `decode.decoded` returns, its last frame.
    last_seekable: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is beyond the formats' usual limits: more likely a damaged header than a recording."""
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise Rejected(Reason.UNSUPPORTED, f"{self.name} of {self.sample_rate} Hz")
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise Rejected(Reason.UNSUPPORTED, f"{self.name} of {self.channels} channels")

    @property
    def name(self) -> str:
        """Format and subtype in one, such as ``WAV/PCM_16``; an MP3's is ``MP3``."""
        return self.format if self.format == "MP3" else f"{self.format}/{self.subtype}"

    @property
    def seekable(self) -> int:
        """The last frame that the decoder can seek to such that what follows has the same bits as without.

        Any one where each sample stands alone. In Vorbis, one before the last page, as 2,400 seeks in 40 files showed:
        within that page libsndfile returns other samples. None, which is 0, in MP3, Opus and ADPCM.
        """
        stand_alone = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
        return self.frames or 0 if self.subtype.startswith(stand_alone) else self.last_seekable

    @property
    def seconds(self) -> float | None:
        """How long it is; None where only a decode can tell."""
        return None if self.frames is None else self.frames / self.sample_rate

    def declares(self, frames: int) -> bool:
        """Return whether a decode to `frames` samples of each channel is what the file declares."""
        return self.shortest <= frames <= self.longest if self.frames is None else frames == self.frames


def chunk_at(data: bytes, at: int) -> str | None:
    """Return the name of the chunk at a byte, four printable letters; None where there is only blank space, or a tag.

    Raises Rejected with DAMAGED at other bytes.
    """
    name = data[at : at + 4]
    is_tag = name[:3] == b"TAG" and len(data) - at == 128  # ID3v1
    if len(name) == 4 and name.strip() and not is_tag and all(32 <= octet < 127 for octet in name):
        return name.decode()
    if data[at:].strip(b"\0\t\n\r ") and not is_tag:
        raise Rejected(Reason.DAMAGED, f"byte {at} of {len(data)} begins {name.hex(' ').upper()}, which is no chunk")
    return None


def require(data: bytes, end: int, what: str) -> None:
    """Refuse a file that ends before `end`, where `what` ends."""
    if end > len(data):
        raise Rejected(Reason.TRUNCATED, f"{what} ends at byte {end}; the file has {len(data)}")
