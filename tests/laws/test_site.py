"""The site: it builds from what is here, loads nothing from elsewhere, has no dead link; and its examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

import pipeline
import pipeline.views
from pipeline.core.params import Params, Runtime
from pipeline.snapshot.description import Description
from tests.support.browser import Page
from tests.support.project import ROOT, Once, Project, environment

PAGE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
VIEWS = [
    module
    for each in pkgutil.iter_modules(pipeline.views.__path__, "pipeline.views.")
    if hasattr(module := importlib.import_module(each.name), "__all__")
]
LOADS = {("img", "src"), ("script", "src"), ("link", "href"), ("audio", "src"), ("source", "src"), ("iframe", "src")}


class Links(HTMLParser):
    """What a page has to be linked to, what it links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif (tag, name) in LOADS and value and not value.startswith("data:"):
                self.loaded.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.targets.add(value)


@pytest.fixture(scope="module")
def site(once: Once) -> Path:
    """The site as `make docs` builds it."""

    def make(to: Path) -> Project:
        recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
        [command] = re.findall(r"^\tsphinx-build (.*) docs/_build$", recipe, re.MULTILINE)
        words = [sys.executable, "-m", "sphinx", *command.split(), str(to)]
        built = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        return Project(to)

    pytest.importorskip("sphinx")
    return once("site", make).root


@pytest.mark.more
def test_site_has_no_dead_link_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        for target in page.targets | page.loaded:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                assert target in page.targets, f"{path}: loads {target}"
                continue
            linked = (path.parent / unquote(url.path)).resolve() if url.path else path
            assert linked.exists(), f"{path}: {target}"
            if url.fragment and linked in pages:
                assert unquote(url.fragment) in pages[linked].anchors, f"{path}: {target}"


@pytest.mark.more
def test_site_shows_the_notebooks_with_their_pictures(site: Path) -> None:
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        page = (site / f"notebooks/{notebook.stem}.html").read_text(encoding="utf-8")
        assert page.count("data:image/png;base64,") == notebook.read_text().count('"image/png"') > 0


def test_site_has_all_that_is_public() -> None:
    assert set(re.findall(r"^\.\. auto(?:function|class):: (\w+)", PAGE, re.MULTILINE)) == set(pipeline.__all__)
    assert set(re.findall(r"^\.\. automodule:: (pipeline\.views\.\w+)", PAGE, re.MULTILINE)) == {
        module.__name__ for module in VIEWS
    }
    for module in VIEWS:
        assert list(module.__all__) == sorted(module.__all__)
        own = {name for name, value in vars(module).items() if is_public_function(name, value, module)}
        assert own <= {*module.__all__, "compute"}, "compute runs in workers"


def is_public_function(name: str, value: object, module: types.ModuleType) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")


def test_site_says_what_each_key_of_settings_means(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    generated = importlib.import_module("generated")
    for model, file in ((Params, "params.yaml"), (Runtime, "configs/runtime.yaml"), (Description, None)):
        text = generated.settings(model, ROOT / file if file else None)  # KeyError where one has no meaning
        assert all(f"`{field.encode_name}`\n: *" in text for field in msgspec.structs.fields(model))
    runtime = generated.settings(Runtime, ROOT / "configs/runtime.yaml")
    assert "`connections`\n: *whole number (from 1 to 64); default `16`.* requests in flight\n" in runtime


@pytest.mark.more
def test_site_puts_the_keys_of_a_file_before_those_of_its_sections(site: Path) -> None:
    page = (site / "docs/reference/params.html").read_text(encoding="utf-8")
    assert re.findall(r'<dt><code[^>]*><span class="pre">(\w+)', page)[:2] == ["snapshot", "stratify"]


@pytest.mark.more
def test_site_examples_run_on_the_demo(staged_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each public function has an example in its docstring, each method of the reader one on the page."""
    monkeypatch.chdir(staged_once.root)
    examples = "\n\n".join(re.findall(r"^```pycon\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    tests = [doctest.DocTestParser().get_doctest(examples, {}, "docs/reference/python.md", None, 0)]
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=False)
    for module in VIEWS:
        for name in module.__all__:
            tests += finder.find(getattr(module, name), f"{module.__name__}.{name}", module, globs={})
    printed: list[str] = []
    for test in tests:
        assert test.examples, f"{test.name} has no example"
        doctest.DocTestRunner().run(test, out=printed.append)
    assert not printed, "".join(printed)
    methods = [name for name in vars(pipeline.Waveforms) if not name.startswith("_")]
    assert [name for name in methods if f".{name}" not in examples] == []


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("name", ["docs/index", "docs/reference/params", "docs/performance", "notebooks/exploration"])
def test_site_fits_a_phone_and_a_desk_in_a_browser(site: Path, browser: Page, name: str, width: int) -> None:
    browser.resize(width, phone=width < 500)
    browser.open(site / f"{name}.html")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert {urlsplit(url).scheme for url in browser.requested()} <= {"file", "data", "about"}
    assert browser.complaints() == []
