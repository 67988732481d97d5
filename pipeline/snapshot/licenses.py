"""Licences by their SPDX identifiers, as descriptions name them, and what others call them."""

from __future__ import annotations

from typing import NamedTuple


class License(NamedTuple):
    """What a licence is called elsewhere."""

    hugging_face: str  # https://github.com/huggingface/hub-docs/blob/main/docs/hub/repositories-licenses.md
    kaggle: str  # https://github.com/Kaggle/kaggle-cli/blob/main/docs/datasets_metadata.md
    url: str  # of its text; where that is unknown, the identifier


_CC = "https://creativecommons.org"
_ODC = "https://opendatacommons.org/licenses"
_KNOWN = {
    "CC0-1.0": License("cc0-1.0", "CC0-1.0", f"{_CC}/publicdomain/zero/1.0/"),
    "CC-BY-3.0": License("cc-by-3.0", "CC-BY-3.0", f"{_CC}/licenses/by/3.0/"),
    "CC-BY-4.0": License("cc-by-4.0", "CC-BY-4.0", f"{_CC}/licenses/by/4.0/"),
    "CC-BY-SA-3.0": License("cc-by-sa-3.0", "CC-BY-SA-3.0", f"{_CC}/licenses/by-sa/3.0/"),
    "CC-BY-SA-4.0": License("cc-by-sa-4.0", "CC-BY-SA-4.0", f"{_CC}/licenses/by-sa/4.0/"),
    "CC-BY-NC-3.0": License("cc-by-nc-3.0", "other", f"{_CC}/licenses/by-nc/3.0/"),
    "CC-BY-NC-4.0": License("cc-by-nc-4.0", "CC-BY-NC-4.0", f"{_CC}/licenses/by-nc/4.0/"),
    "CC-BY-NC-SA-3.0": License("cc-by-nc-sa-3.0", "other", f"{_CC}/licenses/by-nc-sa/3.0/"),
    "CC-BY-NC-SA-4.0": License("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", f"{_CC}/licenses/by-nc-sa/4.0/"),
    "CC-BY-NC-ND-4.0": License("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0", f"{_CC}/licenses/by-nc-nd/4.0/"),
    "ODbL-1.0": License("odbl", "ODbL-1.0", f"{_ODC}/odbl/1-0/"),
    "ODC-By-1.0": License("odc-by", "ODC-BY-1.0", f"{_ODC}/by/1-0/"),
    "PDDL-1.0": License("pddl", "PDDL", f"{_ODC}/pddl/1-0/"),
    "MIT": License("mit", "other", "https://opensource.org/license/mit"),
    "Apache-2.0": License("apache-2.0", "apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
}


def license_of(identifier: str) -> License:
    """Return what a licence is called elsewhere: ``other`` where that is unknown."""
    return _KNOWN.get(identifier, License("other", "other", identifier))
