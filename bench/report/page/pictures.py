"""Figures inside the page, as data: addresses."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.report.page.parts import FigureFile

SVG_LIMIT = 300_000  # bytes; beyond, a browser is busy with paths that nobody can tell apart
BUDGET = 7_000_000  # characters of all figures together: the page stays below 10 MB


@dataclass(frozen=True)
class Picture:
    """A figure's address, and its size in CSS pixels, so that nothing moves while it loads."""

    address: str
    width: int
    height: int


def pictures(figures: Sequence[FigureFile], budget: int = BUDGET) -> list[Picture]:
    """One picture per figure: its SVG where that is small enough, else its pixels.

    Where all of them together exceed the budget, the largest give up their paths first. Pixels are
    packed as lossless WebP, a third of the PNG.
    """
    found = [_vector(figure) or _pixels(figure) for figure in figures]
    total = sum(len(address) for address in found)
    for i in sorted(range(len(found)), key=lambda i: -len(found[i])):
        if total <= budget:
            break
        packed = _pixels(figures[i])
        if len(packed) < len(found[i]):
            total -= len(found[i]) - len(packed)
            found[i] = packed
    sizes = (_size(figure.png) for figure in figures)
    return [Picture(address, *size) for address, size in zip(found, sizes, strict=True)]


def _vector(figure: FigureFile) -> str | None:
    if figure.svg is None or figure.svg.stat().st_size > SVG_LIMIT:
        return None
    return _address("image/svg+xml", figure.svg.read_bytes())


def _pixels(figure: FigureFile) -> str:
    packed = io.BytesIO()
    with Image.open(figure.png) as image:
        image.convert("RGB").save(packed, "WEBP", lossless=True, method=1)
    return _address("image/webp", packed.getvalue())


def _size(png: Path) -> tuple[int, int]:
    """At 96 pixels to an inch; 200 where the file does not say."""
    with Image.open(png) as image:
        dpi = float(image.info.get("dpi", (200.0, 200.0))[0])
        return round(image.width * 96 / dpi), round(image.height * 96 / dpi)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
