"""Where the tags of an MP3 end and begin: ID3v2 before its frames; ID3v1, ID3v2, APE and Lyrics3 after them. Pure."""

from __future__ import annotations

_LONGEST_LYRICS = 5100 + 20  # bytes of Lyrics3, version 1


def id3v2_bytes(data: bytes, at: int) -> int:
    """Return how long the ID3v2 tag at `at` claims to be, or 0 if there is none (id3.org, ID3v2.4.0, 3.1 and 3.4)."""
    head = data[at : at + 10]
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) >= 0x80:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)  # header, content, footer


def skip_id3v2(data: bytes, at: int) -> int:
    """Return where the ID3v2 tags that begin at `at` end: past the end of the file if they claim so."""
    while size := id3v2_bytes(data, at):
        at += size
    return at


def trailing_tags(data: bytes, start: int) -> int:
    """Return where the tags at the end of the file begin that are found by their end (ID3v1, APE, Lyrics3)."""
    stop = len(data)
    if stop - 128 >= start and data[stop - 128 : stop - 125] == b"TAG":
        stop -= 128
        if stop - 227 >= start and data[stop - 227 : stop - 223] == b"TAG+":  # longer titles
            stop -= 227
    while True:
        size = _ape_bytes(data, stop) or _lyrics_bytes(data, start, stop)
        if not size or stop - size < start:
            return stop
        stop -= size


def _ape_bytes(data: bytes, stop: int) -> int:
    """Return the length of the APE tag whose footer ends at `stop`, or 0 (wiki.hydrogenaud.io, APE Tags Header)."""
    footer = data[max(0, stop - 32) : stop]
    if footer[:8] != b"APETAGEX":
        return 0
    size = int.from_bytes(footer[12:16], "little")  # of the items and the footer
    has_header = footer[23:24] >= b"\x80"
    return max(size, 32) + (32 if has_header else 0)


def _lyrics_bytes(data: bytes, start: int, stop: int) -> int:
    """Return the length of the Lyrics3 tag that ends at `stop`, or 0 (id3.org, Lyrics3 and Lyrics3v2)."""
    end = data[max(0, stop - 15) : stop]
    if end[-9:] == b"LYRICSEND":  # of version 1, which does not say how long it is
        begin = data.rfind(b"LYRICSBEGIN", max(start, stop - _LONGEST_LYRICS), stop)
        return stop - begin if begin >= 0 else 0
    return int(end[:6]) + 15 if end[6:] == b"LYRICS200" and end[:6].isdigit() else 0
