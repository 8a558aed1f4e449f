"""What a model card says of results: accuracies, groups, calibration, the gate."""

from collections.abc import Iterator, Sequence

from bench import metrics
from bench.checkpoints import GATE_FACTOR
from bench.metrics import Scores
from bench.report.attributes import attributes
from bench.report.groups import Group
from bench.report.logits import factors_of, forecasts_of
from bench.report.measures import share
from bench.report.ranking import FEWEST
from bench.report.tables.captions import interval_name
from bench.report.tables.swept import sweeps
from bench.store import Manifest, Store
from emodc.card import escaped, table


def results_table(group: Group) -> str:
    """Accuracies of the one classifier in `group`: clean, corrupted, attacked."""
    about = escaped(
        f"Accuracy in percent with its {interval_name(group)} interval. Means count each picture "
        "once; the clean rows of attacks are over the attacked pictures."
    )
    head = ("pictures", "n", "accuracy %", "UAR %")
    title = escaped(f"{group.dataset}, {len(group.classes)} classes, run seed {group.seed}")
    return f"### {title}\n\n{table(head, list(_rows(group)))}\n\n{about}"


def _rows(group: Group) -> Iterator[tuple[str, str, str, str]]:
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is not None:
        yield "clean", str(clean.metrics.n), str(clean.metrics.accuracy), str(clean.metrics.uar)
    corruptions = group.perturbations("corruption")
    own = sweeps(group).get(classifier)
    if own is not None and own.mean is not None and len(corruptions) > 1:
        title = f"mean of all {len(corruptions)} corruptions"
        yield title, str(len(own.ids)), str(share(own.mean)), ""
    for name in corruptions:
        under = group.under(classifier, name)
        mean, last = group.mean(classifier, name), under[-1]
        n, levels = str(last.metrics.n), group.severities(name)
        if mean is not None and len(levels) > 1:
            yield f"{name}, mean of {len(levels)} severities", n, str(mean), ""
        severity = last.results[0].cell.severity
        yield f"{name} {severity}", n, str(last.metrics.accuracy), str(last.metrics.uar)
    for name in group.perturbations("attack"):
        before = group.baseline(classifier, name)
        if before is not None:
            yield f"{name}: clean", str(before.n), str(before.accuracy), str(before.uar)
        for pooled in group.under(classifier, name):
            m, eps = pooled.metrics, pooled.results[0].cell.severity
            yield f"{name} eps {eps}", str(m.n), str(m.accuracy), str(m.uar)


def calibration(group: Group) -> str:
    """The calibration error on clean pictures, empty without any."""
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is None:
        return ""
    (given,) = forecasts_of(clean.outcomes)
    if not len(given.labels):
        return "No calibration: no picture has finite logits."
    said = (
        f"Calibration on clean pictures: ECE {metrics.ece(given):.3f} (15 bins of equal width, "
        f"n {len(given.labels)}; without an interval, for it is biased upwards)."
    )
    factors = factors_of(group, classifier, clean.seeds)
    if factors is None:
        return said
    (calibrated,) = forecasts_of(clean.outcomes, factors)
    return (
        f"{said} With logits times {factors.number}, fitted on {factors.n} validation pictures: "
        f"ECE {metrics.ece(calibrated):.3f}."
    )


def gate(manifest: Manifest) -> str:
    """Whether it is still a denoiser, empty for a classifier that is none."""
    own = manifest.gate
    if own is None:
        return ""
    if own.base_d_p is None:
        detail = f"Validation d_p {own.d_p:.4f}; it started from no Base."
    else:
        detail = (
            f"Validation d_p {own.d_p:.4f}, {own.d_p / own.base_d_p:.2f} times the "
            f"{own.base_d_p:.4f} of the Base it started from; up to {GATE_FACTOR} passes."
        )
    verdict = "passed" if own.passed else "failed: it is no longer a denoiser"
    return f"## Gate\n\n{verdict.capitalize()}. {escaped(detail)}"


def groups(several: Sequence[Group], store: Store) -> str:
    """The worst and the best group of each attribute on clean pictures, empty if none is known."""
    rows = [row for group in several for row in _extremes(group, store)]
    if not rows:
        return (
            "## Groups\n\nNo groups of people or pictures are recorded: accuracy may differ "
            "between them, and by how much is not known."
        )
    head = ("data set", "attribute", "worst", "n", "accuracy %", "best", "n", "accuracy %")
    about = escaped(
        f"Clean pictures, accuracy with its 95% Wilson interval. Groups under {FEWEST} pictures "
        "are left out. The worst and the best of several are extremes: part of their distance is "
        "chance."
    )
    return f"## Groups\n\n{table(head, rows)}\n\n{about}"


def _extremes(group: Group, store: Store) -> Iterator[tuple[str, ...]]:
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is None:
        return
    for attribute in attributes(group, store):
        masks = zip(attribute.values, attribute.masks(clean.outcomes[0].ids), strict=True)
        parts = [(value, clean.right[:, mask]) for value, mask in masks]
        large = [(value, part) for value, part in parts if part.shape[1] >= FEWEST]
        if len(large) > 1:
            by_accuracy = sorted(large, key=lambda pair: float(pair[1].mean()))
            yield group.dataset, attribute.name, *_shown(*by_accuracy[0]), *_shown(*by_accuracy[-1])


def _shown(value: str, right: Scores) -> tuple[str, str, str]:
    return value, str(right.shape[1]), str(share(right))
