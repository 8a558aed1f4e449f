"""Reports whose figures are made, but neither laid out nor rendered: that takes most of the time.

`python quick_figures.py run robustness` is `bench run robustness` with such figures.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Write each figure as the smallest picture of its format, in this process."""
    from matplotlib.figure import Figure
    from PIL import Image

    from bench.report.figures import drawing

    def save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
        paths = [folder / f"{name}.{suffix}" for suffix in ("png", "svg", "pdf")]
        Image.new("RGB", (400, 300)).save(paths[0])  # TeX scales smaller ones inexactly
        paths[1].write_text("<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")
        if "pdf" not in formats:
            return paths[:2]
        paths[2].write_bytes(b"%PDF")
        return paths

    patch.setattr(drawing, "save", save)
    patch.setattr(drawing, "_FEW", 1000)


if __name__ == "__main__":
    from bench.cli import main

    quicken(pytest.MonkeyPatch())
    sys.exit(main())
