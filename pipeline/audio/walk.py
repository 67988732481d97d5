"""Walk over an audio file of any format, which its first bytes tell; nothing is decoded. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.audio import containers, flac, mp3, ogg, riff
from pipeline.audio.sound import Sound
from pipeline.audio.tags import skip_id3v2
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

# Where a file begins with more than one word, the second one is at byte 8.
_WALKS: dict[tuple[bytes, bytes], Callable[[bytes], Sound]] = {
    (b"RIFF", b"WAVE"): riff.walk,
    (b"RIFX", b"WAVE"): riff.walk,
    (b"RF64", b"WAVE"): riff.walk,
    (riff.W64_BEGIN, b""): riff.walk_w64,
    (b"FORM", b"AIFF"): containers.walk_aiff,
    (b"FORM", b"AIFC"): containers.walk_aiff,
    (b".snd", b""): containers.walk_au,
    (b"dns.", b""): containers.walk_au,
    (b"caff", b""): containers.walk_caf,
    (b"NIST_1A", b""): containers.walk_sphere,
    (b"OggS", b""): ogg.walk,
    (b"fLaC", b""): flac.walk,
}
_UNSUPPORTED = {
    (b"\x1aE\xdf\xa3", b""): "WebM or Matroska",
    (bytes.fromhex("3026B2758E66CF11"), b""): "WMA (ASF)",
    (b"#!AMR", b""): "AMR",
    (b"ajkg", b""): "shorten",
    (b"wvpk", b""): "WavPack",
    (b"MAC ", b""): "Monkey's Audio",
    (b"MPCK", b""): "Musepack",
    (b"TTA1", b""): "True Audio",
    (b"DSD ", b""): "DSD",
    (b"FRM8", b""): "DSD",
    (b".RMF", b""): "RealAudio",
    (b"ADIF", b""): "AAC (ADIF)",
    (b"FLV\x01", b""): "Flash video",
    (b"Creative Voice File", b""): "VOC",
    (b"FORM", b"8SVX"): "8SVX",
    (b"RIFF", b"AVI "): "AVI (video)",
    (b"MThd", b""): "MIDI, which has notes in place of sound",
}
_NOT_AUDIO = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip",
    b"\x1f\x8b": "a gzip",
    b"<": "HTML or XML",
    b"{": "JSON",
    b"[": "JSON",
}


def walk(data: bytes) -> Sound:
    """Return what a whole audio file says of itself: the format is told by the first bytes, never by a name.

    Raises Rejected with EMPTY, NOT_AUDIO, UNSUPPORTED (names the format, and what converts it), TRUNCATED or DAMAGED.
    """
    if not data:
        raise Rejected(Reason.EMPTY, "the file has no bytes")
    for (begin, second), walk_format in _WALKS.items():
        if data.startswith(begin) and data[8 : 8 + len(second)] == second:
            return walk_format(data)
    if data[skip_id3v2(data, 0) :].startswith(b"fLaC"):
        return flac.walk(data)
    name = _unsupported(data)
    if name:
        raise Rejected(Reason.UNSUPPORTED, f"{name}; convert it with: ffmpeg -i IN OUT.flac")
    if len(data) < 12 and any(
        begin.startswith(data[: len(begin)]) and second.startswith(data[8:]) for begin, second in _WALKS
    ):
        raise Rejected(Reason.TRUNCATED, f"it ends within its header: the file has {len(data)} bytes")
    if not mp3.is_mp3(data):
        raise Rejected(Reason.NOT_AUDIO, f"{_description(data)}; the file has {len(data)} bytes")
    return mp3.walk(data)


def _unsupported(data: bytes) -> str | None:
    """Return the name of an audio or video format that is not decoded here."""
    for (begin, second), name in _UNSUPPORTED.items():
        if data.startswith(begin) and data[8 : 8 + len(second)] == second:
            return name
    if data[4:8] == b"ftyp":
        return "MPEG-4 (M4A, MP4)"
    at = skip_id3v2(data, 0)
    if len(data) > at + 1 and data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
        return "AAC (ADTS)"
    layer = mp3.layer(data[at : at + 4])
    return f"MPEG audio layer {layer}" if layer in {"I", "II"} else None


def _description(data: bytes) -> str:
    """Return what a file is that is no audio, or how it begins."""
    stripped = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not stripped:
        return "blank text"
    name = next((name for begin, name in _NOT_AUDIO.items() if stripped.startswith(begin)), None)
    return name or f"no audio format begins with {data[:8].hex(' ').upper()}"
