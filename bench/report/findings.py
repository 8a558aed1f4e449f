"""What a report found, in a few sentences: who is best, what each loses, what cannot be told."""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.report.outcomes import Difference, difference, recognised, same_samples
from bench.report.ranking import FEWEST_ATTACKED, RankedScores, rank
from bench.report.results import ResultSet
from bench.report.spec import TableSpec, sizes

_MOST = 8  # classifiers or columns in one sentence
_BUDGETS = 3  # of an attack in one sentence, the smallest


def findings(groups: Sequence[ResultSet], specs: Sequence[TableSpec]) -> list[str]:
    """Sentences, the most asked for first; their numbers are those of the tables."""
    found = []
    for group in groups:
        where = f"{group.slug}: " if len(groups) > 1 else ""
        own = [spec for spec in specs if spec.name.startswith(f"{group.slug}-")]
        tied = _tied(group, own)
        said = (
            *(_best(group, tied), _equal_when_clean(group, tied), _robust(group, own, tied)),
            *(_attacked(group), _ties(own), _checks(group), _checkpoints(group)),
        )
        found += [f"{where}{sentence}" for sentences in said for sentence in sentences]
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


def _tied(group: ResultSet, specs: Sequence[TableSpec]) -> list[str]:
    """Who is highest on clean pictures, or not distinguishable from that; none unless tested."""
    spec = next((s for s in specs if s.chapter == "clean" and "accuracy %" in s.header), None)
    if spec is None:
        return []
    column = spec.header.index("accuracy %")
    return [str(row[0]) for i, row in enumerate(spec.rows) if spec.marks.get((i, column))]


def _best(group: ResultSet, tied: Sequence[str]) -> Iterator[str]:
    known = {c: own for c in group.names if (own := group.clean(c)) is not None}
    if not known:
        return
    best = max(known, key=lambda c: known[c].accuracy.value)
    sentence = f"Clean: {group.names[best]} is highest, {known[best].accuracy} % accuracy"
    others = [name for name in tied if name != group.names[best]]
    if others:
        sentence += f", not distinguishable from {_list(others)}"
    elif tied:
        sentence += ", distinguishable from every other"
    yield f"{sentence} (n {known[best].n})."


def _equal_when_clean(group: ResultSet, tied: Sequence[str]) -> Iterator[str]:
    """Of those not distinguishable when clean, who keeps most under noise and under blur."""
    for name, _ in _chosen(group):
        known = {
            classifier: scores
            for classifier, shown in group.names.items()
            if shown in tied
            and name in group.perturbations("corruption")
            and group.mean(classifier, name) is not None
            and (scores := RankedScores.mean(group.under(classifier, name))) is not None
        }
        names = sorted(known, key=lambda c: -known[c].values.mean())
        ranking = rank({0: [known[c] for c in names]}, names)
        if not ranking.marks or ranking.apart:
            continue
        best, following = names[:2]
        lead = difference(known[best].values, known[following].values)
        even = [group.names[c] for c in names[1:] if (names.index(c), 0) in ranking.marks]
        met = ", seen in training" if group.seen(best, name) else ""
        told = f"not distinguishable from {_list(even)}" if even else "distinguishable from each"
        yield (
            f"Of those not distinguishable when clean, {group.names[best]} keeps most under "
            f"{name.replace('_', ' ')} (mean over severities{met}): {group.mean(best, name)} %, "
            f"{told}; {lead.number} {lead.range} points over the next, {group.names[following]}."
        )


def _attacked(group: ResultSet) -> Iterator[str]:
    """What each attack left at its smallest budgets, from the lowest classifier to the highest."""
    for name in group.perturbations("attack"):
        said = []
        for level in group.severities(name)[:_BUDGETS]:
            known = [r for c in group.names if (r := group.get(c, name, level)) is not None]
            if known:
                ordered = sorted((r.accuracy for r in known), key=lambda a: a.value)
                ends = dict.fromkeys(map(str, (ordered[0], ordered[-1])))
                said.append(f"{' to '.join(ends)} % at {level}")
                n = sizes([r.n for r in known])
        if said:
            what = f"Accuracy left by {name.replace('_', ' ')}, from the lowest classifier to the "
            yield f"{what}highest: {', '.join(said)} (n {n})."


def _robust(group: ResultSet, specs: Sequence[TableSpec], tied: Sequence[str]) -> Iterator[str]:
    """Who keeps most accuracy under noise, blur and each attack, and who loses most."""
    few: dict[str, int] = {}
    for name, level in _chosen(group):
        known = [r for classifier in group.names for r in group.under(classifier, name)]
        attacked = min((r.n for r in known if not r.cell.about.model_free), default=FEWEST_ATTACKED)
        if attacked < FEWEST_ATTACKED:
            few[name] = attacked
            continue
        lost = _lost(group, name, level)
        if len(lost) < 2:
            continue
        (least, best), (most, worst) = lost[0], lost[-1]
        what = _condition(group, name, level)
        sentence = (
            f"{what} costs {least} least, {best.number} {best.range} points, "
            f"and {most} most, {worst.number} {worst.range}"
        )
        equal = [who for who, _ in lost if who in tied]
        if len(equal) > 1 and equal[0] != least:
            sentence += f"; of those not distinguishable when clean {equal[0]} least"
        yield f"{sentence}."
    if few:
        counts = ", ".join(f"{name} {n} pictures" for name, n in few.items())
        yield f"Attacks on too few pictures to rank classifiers ({FEWEST_ATTACKED}): {counts}."


def _chosen(group: ResultSet) -> list[tuple[str, str]]:
    """The first noise, the first blur and each attack, at an informative level."""
    corruptions = group.perturbations("corruption")
    first = [next((n for n in corruptions if kind in n), None) for kind in ("noise", "blur")]
    names = [*(n for n in first if n is not None), *group.perturbations("attack")]
    levels = [(name, informative(group, name)) for name in dict.fromkeys(names)]
    return [(name, level) for name, level in levels if level is not None]


def _condition(group: ResultSet, name: str, level: str) -> str:
    """Such as "gaussian noise 4"; "pgd 1/255 (n 49)" where clean pictures are more."""
    clean = [one.n for c in group.names if (one := group.clean(c)) is not None]
    n = [one.n for c in group.names if (one := group.get(c, name, level)) is not None]
    fewer = f" (n {sizes(n)})" if n and set(n) != set(clean) else ""
    return f"{name.replace('_', ' ')} {level}{fewer}"


def losses_table(group: ResultSet) -> TableSpec | None:
    """Points lost against clean pictures, a row per classifier; None if nothing can be compared."""
    chosen = _chosen(group)
    lost = [dict(_lost(group, *one)) for one in chosen]
    if not any(lost):
        return None
    header = ("classifier", *(_condition(group, *one) for one in chosen))
    rows = tuple((name, *(own.get(name) for own in lost)) for name in group.names.values())
    about = (
        "Accuracy less that on the same pictures when clean, in points, where classifiers differ "
        "most. 95% intervals of paired differences."
    )
    return TableSpec(group.file_name("losses"), f"Losses, {group.slug}", about, header, rows)


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
    """In which columns the best is distinguishable, and in how many it is not."""
    best, columns = [], 0
    for spec in specs:
        if spec.chapter in ("clean", "corruptions", "attacks"):
            title = spec.title.rsplit(", ", 1)[0].removeprefix("Corruption ")
            columns += len({column for _, column in spec.marks})
            best += [
                f"{title.removeprefix('Attack ')} {spec.header[column]}: {spec.rows[row][0]}"
                for (row, column), mark in spec.marks.items()
                if mark == "best"
            ]
    if best:
        yield (
            f"The best is distinguishable from every other in {len(best)} of {columns} tested "
            f"columns: {_list(best)}."
        )
    elif columns:
        yield f"In none of {columns} tested columns is the best distinguishable from the next."


def _checks(group: ResultSet) -> Iterator[str]:
    failed = [name for name in group.names.values() if name.endswith(" failed)")]
    if failed:
        yield f"A check failed: {_list(failed)}."
    elif any(r.manifest.gate is not None for r in group.results):
        yield "No denoiser check failed."


def _checkpoints(group: ResultSet) -> Iterator[str]:
    """Which weights were measured, as the summary's last column has them."""
    said = []
    for classifier, name in group.names.items():
        clean = group.clean(classifier)
        digests = [] if clean is None else [r.manifest.checkpoint for r in clean.results]
        own = " ".join(digest[:8] for digest in digests if digest)
        said += [f"{name} {own}"] if own else []
    if said:
        yield f"Checkpoints: {_list(said)}."


def _list(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more
