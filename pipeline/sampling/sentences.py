"""Sentences: what two spellings of one have in common. Pure."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Return what two spellings of one sentence have in common: no case, no Unicode form, single spaces.

    Two texts agree exactly where they are a compatibility caseless match (The Unicode Standard 3.13, D146), apart
    from their white space.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return " ".join(unicodedata.normalize("NFKD", folded.casefold()).split())
