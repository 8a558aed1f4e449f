"""LaTeX sources set by the real pdflatex, and read back with pdftotext."""

import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAMS = ("pdflatex", "pdftotext", "pdffonts")


# How fonts draw ASCII in text and formulas.
_DRAWN = str.maketrans({"˜": "~", "ˆ": "^", "’": "'", "−": "-", "∗": "*", "ﬁ": "fi", "ﬂ": "fl"})


class Pdf(NamedTuple):
    """A compiled document.

    Attributes:
        path: Of the PDF.
        text: All its characters without white space, line by line.
        overfull: By how many points the worst line or cell is too wide, 0 if none is.
    """

    path: Path
    text: str
    overfull: float


def run_pdflatex(source: Path) -> subprocess.CompletedProcess[str]:
    """One run beside the source; skips without LaTeX, but fails in CI, which must have it."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        reason = f"{', '.join(absent)} not found: texlive-science and poppler-utils have them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name]
    return subprocess.run(
        command, cwd=source.parent, capture_output=True, text=True, errors="replace", timeout=120
    )


def fonts(pdf: Path) -> str:
    """A table of the document's fonts and their types."""
    return subprocess.run(["pdffonts", pdf], capture_output=True, text=True, check=True).stdout


def typeset(source: Path) -> Pdf:
    """The document, which must compile without an error."""
    done = run_pdflatex(source)
    assert done.returncode == 0, done.stdout[-3000:]
    path = source.with_suffix(".pdf")
    command = ["pdftotext", "-layout", "-enc", "UTF-8", path.name, "-"]
    raw = subprocess.run(
        command, cwd=path.parent, capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    too_wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)
    text = unicodedata.normalize("NFC", raw.translate(_DRAWN))
    text = "".join(text.split())
    return Pdf(path, text, max(map(float, too_wide), default=0.0))
