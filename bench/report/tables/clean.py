"""The table of clean pictures."""

from bench.report.groups import Group, Pooled
from bench.report.ranking import Scores
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name


def clean_table(group: Group) -> TableSpec:
    """Everything measured on clean pictures, one row per classifier."""
    shares = ("accuracy %", "UAR %", "macro-F1 %")
    header = (
        "classifier",
        *counts_header(group),
        *shares,
        "d_p",
        "evaluations/image",
        "seconds/image",
    )
    rows: list[tuple[Value, ...]] = []
    used: list[Pooled] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        if result is None:
            rows.append((name, *[None] * (len(header) - 1)))
            continue
        used.append(result)
        m = result.metrics
        means = (m.uar, m.macro_f1, m.d_p)
        costs = (_number(m.evaluations, 1), _number(m.seconds, 4))
        counts = (str(m.n), str(m.seeds)) if group.several else (str(m.n),)
        rows.append((name, *counts, m.accuracy, *means, *costs))
    about = f"Clean pictures: accuracy (WAR) in percent with its {interval_name(group)} interval."
    if not group.several:
        about += (
            " UAR and macro-F1 have Wilson's at the effective number of pictures, d_p Student's."
        )
    ranked = {"accuracy %": [Scores.of(group.clean(classifier)) for classifier in group.names]}
    return captioned(group, "clean", "Clean pictures", about, used, header, rows, ranked)


def _number(value: float | None, digits: int) -> Number | None:
    return None if value is None else Number(value, digits)
