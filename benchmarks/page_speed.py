"""How large the report's page is, and how soon it can be used, at 20 classifiers x 100 cells.

python -m benchmarks.page_speed [--figures 20] [--keep FOLDER]

Builds a page of 25 tables of 20 rows and one of 2,000 and opens it three times in Chromium. Prints
the seconds to build it, its size, and medians in seconds: until the page's script has set
everything up after the first paint, and of sorting and filtering the table of 2,000 rows.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from playwright.sync_api import sync_playwright

from bench.report.figures.drawing import save
from bench.report.outcomes import AccuracyEstimate
from bench.report.page import FigureFile, Page, PageSection, write_page
from bench.report.spec import TableSpec
from bench.stats import wilson

CLASSIFIERS = tuple(f"classifier_{number:02d}" for number in range(20))
REPEATS = 3
LIMIT_MB, LIMIT_SECONDS = 10, 2
# Resolves when the browser has painted twice after the action: its result is on the screen.
TIMED = """async (action) => {
    const start = performance.now();
    eval(action);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - start) / 1000;
}"""


def estimates(rng: np.random.Generator, size: int) -> list[AccuracyEstimate]:
    """Accuracies over 3,068 pictures."""
    return [AccuracyEstimate(n / 3068, wilson(int(n), 3068)) for n in rng.integers(400, 3000, size)]


def fake_page(folder: Path, figures: int) -> Page:
    """A report of the size of 20 classifiers x 100 cells."""
    rng = np.random.default_rng(0)
    sweeps = [
        TableSpec(
            f"sweep-{number}",
            f"Corruption {number}",
            "Accuracy in percent with 95% Wilson intervals, by severity.",
            ("classifier", "n", "clean", *"12345", "mean"),
            tuple((name, "3068", *estimates(rng, 7)) for name in CLASSIFIERS),
        )
        for number in range(25)
    ]
    counts = ("0", "3068")
    cells = TableSpec(
        "cells",
        "All cells",
        "Every complete cell.",
        ("classifier", "data set", "perturbation", "severity", "seed", "n", "accuracy", "UAR"),
        tuple(
            (name, "raf-db", f"corruption_{i // 5}", str(i % 5 + 1), *counts, *estimates(rng, 2))
            for name in CLASSIFIERS
            for i in range(100)
        ),
    )
    drawn = [figure(rng, folder, f"figure-{number}") for number in range(figures)]
    return Page(
        title="Robustness",
        intro=("A page to measure.",),
        summary=cells,
        sections=(PageSection("Corruptions", "corruptions", tuple(sweeps), tuple(drawn)),),
        classifiers=CLASSIFIERS,
    )


def figure(rng: np.random.Generator, folder: Path, name: str) -> FigureFile:
    """A scatter of 1,000 points: some 200 kB as SVG."""
    drawn = Figure(figsize=(8, 4))
    drawn.subplots().scatter(*rng.random((2, 1000)))
    png, svg = save(drawn, folder, name)[:2]
    return FigureFile(png, svg, name, name)


def main() -> None:
    """Build, open, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--figures", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="Leave the page here.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        page = fake_page(folder, arguments.figures)
        started = time.perf_counter()
        write_page(folder / "index.html", page)
        built = time.perf_counter() - started
        size = (folder / "index.html").stat().st_size / 1e6
        found = np.median([measure(folder / "index.html") for _ in range(REPEATS)], axis=0)
    print(f"built in {built:.1f} s, {size:.1f} MB (limit {LIMIT_MB})")
    print(f"interactive after {found[0]:.2f} s (limit {LIMIT_SECONDS})")
    print(f"sorting 2,000 rows {found[1]:.2f} s, filtering {found[2]:.2f} s")


def measure(path: Path) -> tuple[float, float, float]:
    """Seconds until the page can be used, to sort and to filter; in a fresh browser."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        # The page's policy forbids the eval that the measurement is made of.
        page = browser.new_context(bypass_csp=True).new_page()
        started = time.perf_counter()
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        ready = time.perf_counter() - started
        button = "document.querySelector('#table-cells th:nth-child(7) button')"
        box = "document.querySelector('#table-cells .filter')"
        sort = page.evaluate(TIMED, f"{button}.click()")
        words = f"{box}.value = 'corruption_7 classifier_01'"
        typed = f"{box}.dispatchEvent(new InputEvent('input', {{bubbles: true}}))"
        filtered = page.evaluate(TIMED, f"{words}; {typed}")
        assert page.locator("#table-cells tbody tr:visible").count() == 5
        browser.close()
    return ready, sort, filtered


if __name__ == "__main__":
    main()
