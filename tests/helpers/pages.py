"""A page with every kind of value, and names that would break one that does not escape."""

from html.parser import HTMLParser
from pathlib import Path

from matplotlib.figure import Figure

from bench.report.figures.drawing import save
from bench.report.outcomes import AccuracyEstimate, Difference, Number
from bench.report.page import Command, FigureFile, Page, PageSection
from bench.report.ranking import Mark
from bench.report.spec import TableSpec, Value
from bench.stats import Interval

SCRIPT = "<script>window.hacked = 1</script>"
IMAGE = '<img src=http://192.0.2.1/x onerror="window.hacked = 2">'
TEX = r"50%_off & 'A' \ {{ 7 * 7 }} “Ü” 表情 &amp;"
LONG = "resnet" * 30
HOSTILE = (SCRIPT, IMAGE, TEX, '"><b>bold</b>', "</table></style>", LONG)


class Elements(HTMLParser):
    """Start tags with their attributes, and the text of each element kind."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def estimate(value: float) -> AccuracyEstimate:
    return AccuracyEstimate(value, Interval(value - 0.05, value + 0.05))


def accuracies(
    name: str,
    rows: dict[str, Value],
    marks: dict[tuple[int, int], Mark] | None = None,
    title: str = "Accuracies",
) -> TableSpec:
    """A row per classifier, numbered, with one value."""
    numbered = tuple((who, str(i), value) for i, (who, value) in enumerate(rows.items()))
    return TableSpec(
        name, title, f"About {title}.", ("classifier", "n", "%"), numbered, marks or {}
    )


def figure(folder: Path, name: str = "curve") -> FigureFile:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([0, 1])
    folder.mkdir(exist_ok=True)
    png, svg = save(drawn, folder, name)[:2]
    return FigureFile(png, svg, caption=f"A line {TEX}", alt=f"Line {SCRIPT}")


def page(folder: Path) -> Page:
    """Three classifiers and the hostile ones, a table long enough for a filter, a figure."""
    plain: dict[str, Value] = {
        "ten": estimate(0.1),
        "nine": estimate(0.09),
        "none": None,
        "hundred": estimate(1.0),
        "ninety": estimate(0.9),
    }
    marks: dict[tuple[int, int], Mark] = {(3, 2): "best", (4, 2): "tied"}
    pairs = TableSpec(
        "pairs",
        "Pairs",
        "First less second.",
        ("first", "second", "difference", "error"),
        (
            ("ten", "nine", Difference(0.01, Interval(-0.01, 0.03)), Number(0.25, 3)),
            ("ninety", "ten", Difference(0.8, Interval(0.7, 0.9), 0.01), Number(1.5, 3)),
        ),
    )
    many = TableSpec(
        "many",
        "Many",
        "Sixty rows.",
        ("name", "value"),
        tuple((f"row {i}", str(i * 37 % 60)) for i in range(60)),
    )
    hostile = accuracies("hostile", {name: estimate(0.5) for name in HOSTILE}, title=TEX)
    return Page(
        title=f"Robustness {TEX}",
        intro=("A sentence.", SCRIPT),
        summary=accuracies("summary", plain, marks),
        sections=(
            PageSection("Pairs", "pairs", (pairs,), notes=(IMAGE,)),
            PageSection("Many", "many", (many,)),
            PageSection(SCRIPT, "main", (hostile,), (figure(folder / "figures"),)),
        ),
        classifiers=(*plain, *HOSTILE),
        missing=(f"{SCRIPT} on faces: not finished",),
        provenance=(accuracies("provenance", {"ten": "6416493e9d50ff8c"}, title="Provenance"),),
        commands=(Command("All of it.", f"bench run robustness --out '{SCRIPT}'\n"),),
    )
