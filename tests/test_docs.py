"""What the documents name exists: links, headings, files, Python names and options."""

import pkgutil
import re
import runpy
import sys
from pathlib import Path

import pytest
from command_list import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
WORD = re.compile(r"`([^`\n]+)`")
PATH = re.compile(
    r"(?<![\w/.-])((?:rsnet_jax|docs|tests|scripts|configs|benchmarks|\.ci|\.github)/[a-z0-9_./-]+)"
    r"(?![\w{*?-])"
)
"""A path from the top of the repository; one with capitals or wildcards stands for others."""
INNER_PATH = re.compile(r"(?:[a-z0-9_]+/)*(?:[a-z0-9_]+\.(?:py|sh|sbatch)|[a-z0-9_]+/)")
"""A module or folder in backticks, which may be named from the top of the package."""
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*")
BRITISH = re.compile(
    r"metres?\b|optimis[aei]|behaviour|colour|normalis|initialis|licence|neighbour|\bcentre|favour|"
    r"generalis|recognis|serialis|synchronis|neutralis|parallelis[aei]|summaris|minimis|maximis|"
    r"analys(?:e|ed|ing)\b|labell|modell|\bgrey\b",
    re.IGNORECASE,
)
OF_OTHER_PROGRAMS = {"--xla"}
"""The beginnings of options that are not ours."""
PATHS_OF_OTHERS = {"scripts/demo_inference.py"}  # of AlphaPose

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def prose_of(page):
    """The text of a page without its code blocks."""
    return FENCE.sub("", page.read_text())


def anchors_of(page):
    """The anchors GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_to_files_and_headings(page):
    targets = [link for link in LINK.findall(prose_of(page)) if "://" not in link]
    for target in targets:
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors_of(path), f"{page.name}: {target}"
    if page.name == "README.md":
        assert len(targets) > 20


@each_page
def test_named_paths_exist(page):
    named = {path.rstrip(".") for path in PATH.findall(page.read_text())} - PATHS_OF_OTHERS
    assert [path for path in named if not (ROOT / path).exists()] == []
    inner = [word for word in WORD.findall(prose_of(page)) if INNER_PATH.fullmatch(word)]
    places = (ROOT, ROOT / "rsnet_jax")
    if page.name != "commands.md":  # which also names what a run writes
        lost = [word for word in inner if not any((place / word).exists() for place in places)]
        assert lost == []
    if page.name == "architecture.md":
        assert len(named) > 3 and len(inner) > 20


@each_page
def test_named_python_objects_exist(page):
    if page.name == "CHANGELOG.md":  # old names are its subject
        return
    names = re.findall(r"`(rsnet_jax(?:\.\w+)+)(?:\(\))?`", prose_of(page))
    for name in names:
        pkgutil.resolve_name(name)


@each_page
def test_spelling_is_american(page):
    assert BRITISH.findall(prose_of(page)) == []


def test_options_in_prose_exist(cli):
    known = set()
    for name in COMMANDS:
        code, printed, _ = cli(*name.split(), "--help")
        assert code == 0
        known |= set(OPTION.findall(printed))
    for page in (ROOT / "README.md", ROOT / "docs/commands.md"):
        used = set(OPTION.findall(page.read_text()))
        ours = {option for option in used if option.split("_")[0] not in OF_OTHER_PROGRAMS}
        assert len(ours) > 15
        assert ours - known == set(), page.name
    for page in PAGES:  # options with a dot are ours, but for one quoted of pydantic-settings
        dotted = {option for option in OPTION.findall(page.read_text()) if "." in option}
        assert dotted - known - {"--no-train.refine"} == set(), page.name


@pytest.mark.slow
def test_the_picture_of_the_readme_can_be_drawn(golden, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    script, picture = ROOT / "scripts/draw_example.py", tmp_path / "example.png"
    arguments = [str(script), str(golden / "e2e_tiny"), "--out", str(picture)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(script), run_name="__main__")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert 50_000 < picture.stat().st_size < 150_000


@pytest.mark.slow
def test_the_picture_of_the_axes_can_be_drawn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    script, picture = ROOT / "scripts/draw_axes.py", tmp_path / "axes.png"
    monkeypatch.setattr(sys, "argv", [str(script), "--out", str(picture)])
    runpy.run_path(str(script), run_name="__main__")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert 20_000 < picture.stat().st_size < 80_000
