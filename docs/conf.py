"""The site: ``make docs`` builds it from the Markdown of this repository into docs/_build, without a network.

Pages are the README, the files of docs/ and the notebooks, at the paths that they have here, so that a link between two
of them works on a forge and on the site. The reference is generated from the code: docs/generated.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import generated  # noqa: E402  it lies beside this file

import pipeline.core.version  # noqa: E402

project = "audio-subsample"
release = version = pipeline.core.version.version()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "data/demo/*.md", "docs/**.md", "notebooks/*.ipynb"]
exclude_patterns = [".*", "docs/_build"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "code"  # what our docstrings mean by `name`
napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"  # and no __init__: `open_waveforms` makes them
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = project
html_extra_path = ["_static/index.html"]  # of the site's root, which leads to docs/index.html
html_static_path = ["_static/site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "tango"
pygments_dark_style = "github-dark"

setup = generated.setup
