"""The documentation: links lead somewhere, the reference is current, the tutorial runs."""

import importlib.util
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import quick_figures
import yaml
from command_line import call_apart
from markdown_it import MarkdownIt

from bench.sweep import costs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def anchors(page: Path) -> set[str]:
    """What its headings are called in links."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text())
    found = set()
    for token, inside in itertools.pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in inside.children or ())
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-"))
    return found


def links(page: Path) -> list[str]:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text())
    children = [child for token in tokens for child in token.children or ()]
    return [str(c.attrs.get("href") or c.attrs.get("src")) for c in children if c.attrs]


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"
        inside = page.parent != DOCS or target.resolve().is_relative_to(DOCS)
        assert inside, f"{page.name}: {link} is not on the site"


def test_the_navigation_has_every_page() -> None:
    def pages(item: object) -> list[str]:
        if isinstance(item, str):
            return [item]
        values = item.values() if isinstance(item, dict) else item
        return [page for value in values for page in pages(value)]  # type: ignore[union-attr]

    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == [page.name for page in PAGES]
    assert set(re.findall(r"\((\w+\.md)\)", (DOCS / "llms.txt").read_text())) <= set(named)


def test_the_reference_is_what_the_registries_hold() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (DOCS / "reference.md").read_text(), "run: python docs/reference.py"


def blocks(page: Path, language: str) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text())
    return [t.content for t in tokens if t.type == "fence" and t.info == language]


def test_the_tutorial_runs_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (module,) = blocks(DOCS / "tutorial.md", "python")
    (tmp_path / "my_module.py").write_text(module)
    commands = [line for block in blocks(DOCS / "tutorial.md", "sh") for line in block.splitlines()]
    assert len(commands) >= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMODC_BENCH_AGREEMENTS", "")
    monkeypatch.setattr(costs, "measured", lambda *given: costs.Speed())  # it takes seconds each
    quick_figures.quicken(monkeypatch)
    for command in commands:
        program, *arguments = command.split()
        assert program == "bench"
        code, out, err = call_apart(capsys, monkeypatch, *arguments)
        assert code == 0, f"{command}\n{out}\n{err}"
    assert (tmp_path / "results/runs/first/report/tables.md").exists()


def test_the_site_builds(tmp_path: Path) -> None:
    for name in ("docs", "mkdocs.yml"):
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / name)
    done = subprocess.run(
        ["zensical", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.parent.name for path in (tmp_path / "site").glob("*/index.html")}
    assert {page.stem for page in PAGES} - {"index"} <= built
    home = (tmp_path / "site" / "index.html").read_text()
    assert "Tutorial" in home and "EmoDC bench" in home
