"""Walk over the pages of an Ogg file of Vorbis or Opus. Pure.

RFC 3533 for pages, RFC 7845 for Opus, and the Vorbis I specification, appendix A.2.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from pipeline.audio.sound import Sound, require
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

_HEADER = 27
_BEGIN, _END = 2, 4  # flags of the first and the last page of a stream
_NO_PACKET = 2**64 - 1  # the granule of a page on which no packet ends
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
_OTHERS = {
    b"\x7fFLAC": "FLAC",
    b"Speex  ": "Speex",
    b"\x80theora": "Theora (video)",
    b"fishead": "a skeleton of several",
}


class _Page(NamedTuple):
    flags: int
    granule: int
    serial: int
    number: int
    body: int  # where its packets begin
    end: int


def walk(data: bytes) -> Sound:
    """Walk from page to page: consecutive ones of a single stream, each with its check sum, up to the last one.

    Raises Rejected with TRUNCATED if it ends within a page, or its last page is not marked as the end. Some recorders
    leave that mark out (Android's MediaMuxer): their files cannot be told from ones that were cut. With DAMAGED if a
    page is missing, out of order, or has another check sum; with UNSUPPORTED for a chain of streams, or another codec.
    """
    first = previous = _page(data, 0)
    packet = data[first.body : first.end]
    granule = before_last_page = 0
    while previous.end < len(data):
        page = _page(data, previous.end)
        if page.serial != first.serial or page.flags & _BEGIN:
            kind = "chained" if previous.flags & _END else "multiplexed"
            raise Rejected(Reason.UNSUPPORTED, f"{kind} Ogg: a second stream begins at byte {previous.end}")
        if page.number != previous.number + 1:
            raise Rejected(Reason.DAMAGED, f"page {page.number} follows page {previous.number}, at byte {previous.end}")
        if page.granule != _NO_PACKET:
            if page.granule < granule:
                raise Rejected(Reason.DAMAGED, f"page {page.number} ends at sample {page.granule}, after {granule}")
            before_last_page, granule = granule, page.granule
        previous = page
    if not previous.flags & _END:
        raise Rejected(
            Reason.TRUNCATED, f"page {previous.number}, its last one, is not marked as the end of the stream"
        )
    if packet[:7] == b"\x01vorbis" and len(packet) >= 30:
        rate = int.from_bytes(packet[12:16], "little")
        return Sound("OGG", "VORBIS", rate, packet[11], granule, last_seekable=before_last_page, readable=data)
    if packet[:8] == b"OpusHead" and len(packet) >= 19:
        pre_skip, rate = int.from_bytes(packet[10:12], "little"), int.from_bytes(packet[12:16], "little")
        rate = min((each for each in _OPUS_RATES if each >= rate), default=48_000)  # as libsndfile decodes it
        frames = max(0, granule - pre_skip) * rate // 48_000
        return Sound("OGG", "OPUS", rate, packet[9], frames, readable=data)
    codec = next((name for begin, name in _OTHERS.items() if packet.startswith(begin)), packet[:8].decode("latin-1"))
    raise Rejected(Reason.UNSUPPORTED, f"Ogg with {codec}; convert it with: ffmpeg -i IN OUT.flac")


def _page(data: bytes, at: int) -> _Page:
    """Read the page at `at`, and compare its check sum."""
    if not b"OggS\0".startswith(data[at : at + 5]):
        found = data[at : at + 4].hex(" ").upper()
        raise Rejected(Reason.DAMAGED, f"byte {at} of {len(data)} begins {found}: no page of an Ogg")
    require(data, at + _HEADER, f"the page at byte {at}")
    segments = data[at + 26]
    body = at + _HEADER + segments
    require(data, body, f"the page at byte {at}")
    end = body + sum(data[at + _HEADER : body])
    require(data, end, f"the page at byte {at}")
    octets = data[at : at + 22] + bytes(4) + data[at + 26 : end]
    # Its CRC-32 is zlib's of octets whose bits are in reverse order, without the inversions before and after.
    crc = zlib.crc32(octets.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    if crc.to_bytes(4, "big").translate(_REVERSED) != data[at + 22 : at + 26]:
        raise Rejected(Reason.DAMAGED, f"the page at byte {at} does not have its check sum")
    numbers = (
        int.from_bytes(data[at + begin : at + begin + size], "little") for begin, size in ((6, 8), (14, 4), (18, 4))
    )
    granule, serial, number = numbers
    return _Page(data[at + 5], granule, serial, number, body, end)
