"""Licences by their SPDX identifiers, as descriptions name them, and what others call them."""

from __future__ import annotations

from typing import NamedTuple


class License(NamedTuple):
    """What a licence is called elsewhere.

    Attributes
    ----------
    hugging_face
        https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
    kaggle
        https://github.com/Kaggle/kaggle-cli/blob/main/docs/datasets_metadata.md
    url
        Of its text; where that is unknown, the identifier.
    """

    hugging_face: str
    kaggle: str
    url: str


_KNOWN = {"CC0-1.0": License("cc0-1.0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/")}


def license_of(identifier: str) -> License:
    """Return what a licence is called elsewhere: ``other`` where that is unknown."""
    return _KNOWN.get(identifier, License("other", "other", identifier))
