"""The page itself: one file without a single address outside it."""

import base64
import hashlib
import re
from collections.abc import Iterable
from importlib import resources
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.report.page.cells import Table, table
from bench.report.page.parts import Page
from bench.report.page.pictures import pictures
from bench.report.spec import TableSpec

#: Addresses of the page's own parts.
_FIXED = ("main", "summary", "missing", "provenance", "commands")


def write_page(path: Path, page: Page) -> None:
    """Write `page` to `path`; the same page gives the same bytes.

    Args:
        path: Of the HTML file.
        page: What it holds.
    """
    # A path may hold bytes that are no text; they are shown as escapes.
    path.write_bytes(page_html(page).encode("utf-8", "backslashreplace"))


def page_html(page: Page) -> str:
    """The page as HTML."""
    style, script = _shipped("page.css"), _shipped("page.js")
    taken = set(_FIXED)

    def prepared(specs: Iterable[TableSpec]) -> list[Table]:
        named = ((spec, _unique(f"table-{spec.name}", taken)) for spec in specs)
        return [table(spec, anchor, page.classifiers) for spec, anchor in named]

    embedded = iter(pictures([figure for section in page.sections for figure in section.figures]))
    sections = [
        {
            "title": section.title,
            "anchor": _unique(section.anchor, taken),
            "notes": section.notes,
            "tables": prepared(section.tables),
            "figures": [(figure, next(embedded)) for figure in section.figures],
        }
        for section in page.sections
    ]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            summary=prepared([page.summary]),
            sections=sections,
            provenance=prepared(page.provenance),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bench.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shipped(name: str) -> str:
    return resources.files("bench.report.page").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing may load or run but this very style, this very script and pictures in the file."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )


def _unique(name: str, taken: set[str]) -> str:
    """An address made of `name` that no other part has; it is taken from then on."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "part"
    endings = (f"-{number}" if number > 1 else "" for number in count(1))
    anchor = next(base + ending for ending in endings if base + ending not in taken)
    taken.add(anchor)
    return anchor
