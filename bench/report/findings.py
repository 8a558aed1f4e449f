"""What a report found, in a few sentences: who is best, what each loses, what cannot be told."""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.report.outcomes import Difference, difference, recognised, same_samples
from bench.report.results import ResultSet
from bench.report.spec import TableSpec

_MOST = 8  # classifiers or columns in one sentence


def findings(groups: Sequence[ResultSet], specs: Sequence[TableSpec]) -> list[str]:
    """Sentences, the most asked for first; their numbers are those of the tables."""
    found = []
    for group in groups:
        where = f"{group.slug}: " if len(groups) > 1 else ""
        own = [spec for spec in specs if spec.name.startswith(f"{group.slug}-")]
        for sentence in (*_best(group, own), *_losses(group), *_ties(own), *_checks(group)):
            found.append(f"{where}{sentence}")
    return found


def informative(group: ResultSet, perturbation: str) -> str | None:
    """The severity at which accuracies differ most: not where all are near clean or at chance.

    Returns:
        Of several alike the mildest; None if no severity is complete.
    """
    widest: tuple[float, str] | None = None
    for severity in group.severities(perturbation):
        known = [group.get(classifier, perturbation, severity) for classifier in group.names]
        values = [one.accuracy.value for one in known if one is not None]
        if values:
            # One classifier alone differs most from chance and from certainty half way.
            spread = np.ptp(values) if len(values) > 1 else -abs(values[0] - 0.5)
            if widest is None or spread > widest[0]:
                widest = (float(spread), severity)
    return None if widest is None else widest[1]


def _best(group: ResultSet, specs: Sequence[TableSpec]) -> Iterator[str]:
    known = {c: own for c in group.names if (own := group.clean(c)) is not None}
    if not known:
        return
    best = max(known, key=lambda c: known[c].accuracy.value)
    sentence = f"Clean: {group.names[best]} is highest, {known[best].accuracy} % accuracy"
    spec = next((s for s in specs if s.chapter == "clean" and "accuracy %" in s.header), None)
    if spec is not None:
        column = spec.header.index("accuracy %")
        tied = [str(row[0]) for i, row in enumerate(spec.rows) if spec.marks.get((i, column))]
        others = [name for name in tied if name != group.names[best]]
        if others:
            sentence += f", not distinguishable from {_list(others)}"
        elif tied:
            sentence += ", distinguishable from every other"
    yield f"{sentence} (n {known[best].n})."


def _losses(group: ResultSet) -> Iterator[str]:
    """What the first noise, the first blur and each attack cost, at an informative level."""
    corruptions = group.perturbations("corruption")
    chosen = [next((n for n in corruptions if kind in n), None) for kind in ("noise", "blur")]
    chosen += group.perturbations("attack")[-1:]
    for name in (name for name in chosen if name is not None):
        level = informative(group, name)
        lost = [] if level is None else _lost(group, name, level)
        if lost:
            shown = [f"{who} {d.number} {d.range}" for who, d in lost]
            eps = "eps " if "/" in str(level) else ""
            yield (f"{name.replace('_', ' ')} {eps}{level}, points against clean: {_list(shown)}.")


def _lost(group: ResultSet, perturbation: str, level: str) -> list[tuple[str, Difference]]:
    """Accuracy less that on the same pictures when clean; the smallest loss first."""
    found = []
    for classifier, name in group.names.items():
        clean, under = group.clean(classifier), group.get(classifier, perturbation, level)
        if clean is None or under is None or clean.seeds != under.seeds:
            continue
        ids = under.each[0].ids
        before = [one.among(ids) for one in clean.each]
        if all(same_samples(one.ids, ids) for one in before):
            found.append((name, difference(under.right, recognised(before))))
    return sorted(found, key=lambda pair: -pair[1].value)


def _ties(specs: Sequence[TableSpec]) -> Iterator[str]:
    columns, tied = 0, []
    for spec in specs:
        if spec.chapter in ("clean", "corruptions", "attacks"):
            marked = {column for _, column in spec.marks}
            columns += len(marked)
            title = (
                spec.title.rsplit(", ", 1)[0].removeprefix("Corruption ").removeprefix("Attack ")
            )
            tied += [
                f"{title} {spec.header[column]}"
                for column in sorted(marked)
                if "tied" in {m for (_, c), m in spec.marks.items() if c == column}
            ]
    if tied:
        yield (
            f"The best cannot be distinguished from the next in {len(tied)} of {columns} columns: "
            f"{_list(tied)}."
        )


def _checks(group: ResultSet) -> Iterator[str]:
    failed = [name for name in group.names.values() if name.endswith(" failed)")]
    if failed:
        yield f"A check failed: {_list(failed)}."
    elif any(r.manifest.gate is not None for r in group.results):
        yield "No denoiser check failed."


def _list(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more
