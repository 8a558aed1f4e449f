"""Model cards: `card` writes one per checkpoint, `results` says what it reached."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench import stats as metrics
from bench.classifiers.kinds import kind_of
from bench.report import spec
from bench.report.outcomes import share
from bench.report.ranking import FEWEST
from bench.report.results import (
    Result,
    Results,
    ResultSet,
    adapts,
    attributes,
    display_name,
    recorded,
)
from bench.report.spec import interval_name, sweeps
from bench.report.tables.ablation import Variant
from bench.report.tables.calibration import factors_of, forecasts_of
from bench.stats import SampleScores
from bench.store.cells import Conditioning, Manifest
from bench.store.checkpoints import GATE_FACTOR
from bench.store.store import Store
from bench.util.errors import printable
from emodc.card import DRAWN, LIMITS, USES, escaped, recipe, table

# ------------------------------------------------------------------------------------------------
# What a model card says of results: accuracies, groups, calibration, the denoiser check.


def results_table(group: ResultSet) -> str:
    """Accuracies of the one classifier in `group`: clean, corrupted, attacked."""
    about = escaped(
        f"Accuracy in percent with its {interval_name(group)} interval. Means count each picture "
        "once; the clean rows of attacks are over the attacked pictures."
    )
    head = ("pictures", "n", "accuracy %", "UAR %")
    title = escaped(f"{group.dataset}, {len(group.classes)} classes, run seed {group.seed}")
    return f"### {title}\n\n{table(head, list(_rows(group)))}\n\n{about}"


def _rows(group: ResultSet) -> Iterator[tuple[str, str, str, str]]:
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is not None:
        yield "clean", str(clean.n), str(clean.accuracy), str(clean.uar)
    corruptions = group.perturbations("corruption")
    own = sweeps(group).get(classifier)
    if own is not None and own.mean is not None and len(corruptions) > 1:
        title = f"mean of all {len(corruptions)} corruptions"
        yield title, str(len(own.ids)), str(share(own.mean)), ""
    for name in corruptions:
        under = group.under(classifier, name)
        mean, last = group.mean(classifier, name), under[-1]
        n, levels = str(last.n), group.severities(name)
        if mean is not None and len(levels) > 1:
            yield f"{name}, mean of {len(levels)} severities", n, str(mean), ""
        severity = last.cell.severity
        yield f"{name} {severity}", n, str(last.accuracy), str(last.uar)
    for name in group.perturbations("attack"):
        before = group.baseline(classifier, name)
        if before is not None:
            yield f"{name}: clean", str(before.n), str(before.accuracy), str(before.uar)
        for pooled in group.under(classifier, name):
            m, eps = pooled, pooled.cell.severity
            yield f"{name} eps {eps}", str(m.n), str(m.accuracy), str(m.uar)


def calibration(group: ResultSet) -> str:
    """The calibration error on clean pictures, empty without any."""
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is None:
        return ""
    (given,) = forecasts_of(clean.each)
    if not len(given.labels):
        return "No calibration: no picture has finite logits."
    said = (
        f"Calibration on clean pictures: ECE {metrics.ece(given):.3f} (15 bins of equal width, "
        f"n {len(given.labels)}; without an interval, because it is biased upwards)."
    )
    factors = factors_of(group, classifier, clean.seeds)
    if factors is None:
        return said
    (calibrated,) = forecasts_of(clean.each, factors)
    return (
        f"{said} With logits times {factors.number}, fitted on {factors.n} validation pictures: "
        f"ECE {metrics.ece(calibrated):.3f}."
    )


_REFERENCES = {
    "equal_budget": "the Base of equal budget",
    "first_stage": "the Base it started from, which has had fewer steps",
}


def gate(manifest: Manifest) -> str:
    """Whether it is still a denoiser; empty for a discriminative classifier."""
    own = manifest.gate
    if own is None:
        return ""
    if own.base_d_p is None:
        detail = f"Validation d_p {own.d_p:.4f}; there is no Base to compare it with."
    elif own.reference == "itself":
        detail = f"Validation d_p {own.d_p:.4f}; it is a Base, trained by plain denoising alone."
    else:
        detail = (
            f"Validation d_p {own.d_p:.4f}, {own.d_p / own.base_d_p:.2f} times the "
            f"{own.base_d_p:.4f} of {_REFERENCES[own.reference]}; up to {GATE_FACTOR} passes."
        )
    if own.linear_d_p is not None:
        detail += f" The best linear denoiser has {own.linear_d_p:.4f}."
    verdict = "passed" if own.passed else "failed: it is no longer a denoiser"
    said = f"{verdict.capitalize()}. {escaped(detail)}{_conditioning(own.conditioning)}"
    return f"## Denoiser check\n\n{said}"


def _conditioning(own: Conditioning | None) -> str:
    """Whether its prompt matters, as a section; empty if that was not checked."""
    if own is None:
        return ""
    verdict = "Passed" if own.passed else "Failed: its prompt does not change what it predicts"
    detail = (
        f"Validation accuracy {100 * own.accuracy:.1f}%, at least {100 * own.accuracy_low:.1f}% "
        f"(chance {100 * own.chance:.1f}%); d_n - d_p {own.gap:.2g} [{own.gap_low:.2g}, "
        f"{own.gap_high:.2g}], {own.n} pictures. Both have to exceed chance and 0 with their 95% "
        "intervals."
    )
    return f"\n\n## Conditioning\n\n{verdict}. {escaped(detail)}"


def groups(several: Sequence[ResultSet], store: Store) -> str:
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


def _extremes(group: ResultSet, store: Store) -> Iterator[tuple[str, ...]]:
    (classifier,) = group.names
    clean = group.clean(classifier)
    if clean is None:
        return
    for attribute in attributes(group, store):
        masks = zip(attribute.values, attribute.masks(clean.each[0].ids), strict=True)
        parts = [(value, clean.right[:, mask]) for value, mask in masks]
        large = [(value, part) for value, part in parts if part.shape[1] >= FEWEST]
        if len(large) > 1:
            by_accuracy = sorted(large, key=lambda pair: float(pair[1].mean()))
            yield group.dataset, attribute.name, *_shown(*by_accuracy[0]), *_shown(*by_accuracy[-1])


def _shown(value: str, right: SampleScores) -> tuple[str, str, str]:
    return value, str(right.shape[1]), str(share(right))


# ------------------------------------------------------------------------------------------------
# Model cards: what is known of each checkpoint that a run measured, and what it is not for.


_LICENCE = """## Licence

The code of the bench is under Apache-2.0. The weights have no licence by that: theirs follows from
the terms of the training pictures and, where training started from published weights, of those.
Whoever passes the weights on has to state it."""

_UNMEASURED = (
    "Robust accuracies hold for the perturbations, strengths and pictures they were measured on. "
    "Others, and stronger attacks, may do worse."
)


@dataclass(frozen=True, eq=False)
class Subject:
    """One checkpoint.

    Attributes:
        classifier: Its name in the config.
        name: As shown: a failed denoiser check says so.
        seed: Of its training.
        checkpoint: Digest of its weights.
        groups: What it did on each data set, nothing else in them.
    """

    classifier: str
    name: str
    seed: int
    checkpoint: str
    groups: tuple[ResultSet, ...]

    @property
    def manifest(self) -> Manifest:
        """The manifest of one of its cells: what stands behind it is the same in all."""
        return self.groups[0].results[0].manifest


def write_cards(results: Results, store: Store, folder: Path) -> list[Path]:
    """Write CLASSIFIER.md for each checkpoint into a new folder; -seedN where it has several.

    Args:
        results: What was measured.
        store: Where from, for what it knows of data sets.
        folder: Where to.

    Returns:
        The files, in report order.
    """
    folder.mkdir()
    found = subjects(results)
    files: list[Path] = []
    for subject in found:
        file = folder / f"{_file_name(subject, found)}.md"
        if file in files:  # names that differ in nothing that a file name may hold
            file = file.with_stem(f"{file.stem}-{len(files)}")
        file.write_text(printable(card(subject, store)), encoding="utf-8")
        files.append(file)
    return files


def _file_name(subject: Subject, found: Sequence[Subject]) -> str:
    siblings = [other for other in found if other.classifier == subject.classifier]
    name = subject.classifier
    if len(siblings) > 1:
        name += f"-seed{subject.seed}"
    if sum(other.seed == subject.seed for other in siblings) > 1:
        name += f"-{subject.checkpoint[:8]}"
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")


def subjects(results: Results) -> list[Subject]:
    """The checkpoints that have complete cells, in report order."""
    found: dict[tuple[str, int, str], list[tuple[ResultSet, list[Result]]]] = {}
    for group in results.groups:
        own: dict[tuple[str, int, str], list[Result]] = {}
        for result in group.results:
            key = result.cell.classifier, result.cell.seed, result.manifest.checkpoint
            own.setdefault(key, []).append(result)
        for key, part in own.items():
            found.setdefault(key, []).append((group, part))
    return [_subject(*key, parts) for key, parts in found.items()]


def _subject(
    classifier: str, seed: int, checkpoint: str, parts: list[tuple[ResultSet, list[Result]]]
) -> Subject:
    manifests = [result.manifest for _, own in parts for result in own]
    name = display_name(classifier, (own.gate for own in manifests), adapts(manifests))
    groups = tuple(
        replace(
            group,
            names={classifier: name},
            planned=tuple(
                cell for cell in group.planned if (cell.classifier, cell.seed) == (classifier, seed)
            ),
            results=tuple(replace(result, name=name) for result in own),
        )
        for group, own in parts
    )
    return Subject(classifier, name, seed, checkpoint, groups)


def card(subject: Subject, store: Store) -> str:
    """The card as Markdown with a YAML head, as model hubs read it."""
    manifest = subject.manifest
    parts = [
        f"---\n{yaml.safe_dump(_head(subject), sort_keys=False, allow_unicode=True)}---",
        f"# {escaped(subject.name)}",
        _about(subject),
        table(("fact", "value"), list(_facts(subject))),
    ]
    parts += ["## Data", *(_data(group, store) for group in subject.groups)]
    parts += ["## Training", _training(subject)]
    parts += [recipe(manifest.training)] if manifest.training else []
    parts.append("## Results")
    for group in subject.groups:
        parts += [part for part in (results_table(group), calibration(group)) if part]
    parts += [part for part in (groups(subject.groups, store), gate(manifest)) if part]
    parts += [USES.strip(), _limits(subject), _LICENCE]
    return "\n\n".join(parts) + "\n"


def _limits(subject: Subject) -> str:
    """Trained here means trained on the data set that it was measured on."""
    drawn = any(group.drawn for group in subject.groups)
    trained = kind_of(subject.manifest.training).trained_here
    parts = [(DRAWN if drawn and trained else LIMITS).strip()]
    if drawn and not trained:
        parts.append(f"Measured on drawn faces. {spec.DRAWN}")
    return "\n\n".join([*parts, _UNMEASURED])


def _head(subject: Subject) -> dict[str, Any]:
    """Metadata: of the accuracies only clean ones, which all hubs know."""
    entries = []
    for group in subject.groups:
        clean = group.clean(subject.classifier)
        if clean is not None:
            accuracy = round(clean.accuracy.value, 4)
            entries.append(
                {
                    "task": {"type": "image-classification"},
                    "dataset": {"name": group.dataset, "type": group.dataset},
                    "metrics": [{"type": "accuracy", "value": accuracy}],
                }
            )
    traced = bool(subject.manifest.timesteps)
    head: dict[str, Any] = {
        "library_name": "emodc-bench",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "robustness"]
        + (["emodc", "diffusion-classifier"] if traced else []),
    }
    if entries:
        head["model-index"] = [{"name": subject.classifier, "results": entries}]
    return head


def _about(subject: Subject) -> str:
    manifest = subject.manifest
    kind = kind_of(manifest.training).text
    failed = manifest.gate is not None and not manifest.gate.passed
    warning = " **Its denoiser check failed: it is no longer a denoiser.**" if failed else ""
    conditioning = None if manifest.gate is None else manifest.gate.conditioning
    if conditioning is not None and not conditioning.passed:
        warning += " **Its conditioning check failed: it does not read its prompt.**"
    if adapts([manifest]):
        size = manifest.inputs["evaluation"]["adapted"]["block"]
        warning += (
            f" **It is transductive: it adapts to blocks of up to {size} of the pictures that it "
            "is measured on, so a verdict depends on its neighbours.**"
        )
    return f"{kind} Measured by the EmoDC bench.{warning}"


def _facts(subject: Subject) -> Iterator[tuple[str, str]]:
    manifest = subject.manifest
    yield "checkpoint", subject.checkpoint
    yield "training seed", str(subject.seed)
    yield "class order of the logits", ", ".join(manifest.classes)
    evaluation = manifest.inputs.get("evaluation") or {}
    for name, value in evaluation.items():
        yield f"evaluation: {name.replace('_', ' ')}", str(value)
    for name, figure in manifest.validation.items():
        yield f"validation {name}", f"{figure:.4f}"


def _data(group: ResultSet, store: Store) -> str:
    record = recorded(group, store)
    where = f"{group.dataset}, run seed {group.seed}"
    if record is None:
        return f"Measured on {escaped(where)}; nothing more is recorded of that data set."
    sizes = ", ".join(f"{sum(n.values())} {split}" for split, n in record.counts.items())
    rows = [
        (name, *(counts.get(name, 0) for counts in record.counts.values()))
        for name in record.classes
    ]
    origin = "generated pictures" if record.synthetic else "photographs or other pictures"
    protocol = f"{record.protocol}; " if record.protocol else ""
    about = (
        f"{where}: {record.kind}, {origin}; {protocol}{sizes} pictures; "
        f"content digest {record.digest}."
    )
    return f"{escaped(about)}\n\n{table(('class', *record.counts), rows)}"


def _training(subject: Subject) -> str:
    """What the weights came from, in a sentence."""
    training = subject.manifest.training
    if not kind_of(training).trained_here:
        return "Not trained here: only its outputs are known."
    clean = subject.groups[0].clean(subject.classifier)
    words = str(training.get("architecture", training.get("kind", "")))
    steps = training.get("steps")
    if training.get("stages") and clean is not None:
        variant = Variant(subject.classifier, clean)
        words, steps = variant.words, variant.steps
    seconds = training.get("seconds")
    parts = [words, *([f"{steps} steps in all"] if steps else [])]
    parts += [f"{seconds:.0f} s"] if seconds is not None else []
    return escaped(f"{', '.join(parts)}; training seed {subject.seed}.")
