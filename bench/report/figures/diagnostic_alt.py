"""The figures of diagnostics in words, for those who do not see them."""

import numpy as np

from bench.report.figures.marks import text
from bench.report.figures.parts import listed
from bench.report.traces.diagnosis import PROMPTS, Diagnosis
from bench.report.traces.example import Side


def of_correlation(diagnosis: Diagnosis) -> str:
    """Of errors under other prompts against d_p."""
    said = [
        f"{PROMPTS[name]}: {text(estimate, 'r =', 3)}"
        for name, estimate in diagnosis.correlations.items()
    ]
    about = "Scatter of a picture's error under other prompts against that under the right one"
    return f"{about}, around the line of equal errors. {'; '.join(said)}."


def of_gap(diagnosis: Diagnosis) -> str:
    """Of the gap by timestep bin."""
    gaps, edges = diagnosis.gaps, diagnosis.edges
    said = []
    for number in range(gaps.shape[2]):
        column = gaps[~np.isnan(gaps[:, :, number]).any(axis=1), :, number]
        if len(column):
            where = f"t {edges[number]:.0f} to {edges[number + 1]:.0f}"
            said.append(f"{where}: {100 * (column > 0).mean():.0f}%")
    return f"Histograms of d_n - d_p by timestep. Share above 0: {'; '.join(said)}."


def of_timesteps(diagnosis: Diagnosis) -> str:
    """Of what each timestep bin decides alone."""
    centres = (diagnosis.edges[:-1] + diagnosis.edges[1:]) / 2
    said = []
    for traced in diagnosis.conditions:
        found = [a for a, _ in diagnosis.informativeness(traced)]
        known = [(a.value, t) for a, t in zip(found, centres, strict=True) if a is not None]
        if known:
            best, where = max(known)
            said.append(f"{traced.name} {100 * best:.1f}% at t {where:.0f}")
    about = "Line charts over timesteps of the accuracy and the d' of a bin alone"
    return f"{about}. Most accurate bin: {'; '.join(said)}."


def of_margins(diagnosis: Diagnosis) -> str:
    """Of the pictures that keep each margin."""
    found = diagnosis.margins
    said = []
    for margin in ("fixed", "adaptive"):
        for which, part in (("easy", found.easy), ("hard", found.hard)):
            kept = found.kept(margin, part)
            if kept is not None:
                said.append(f"{margin}, {which} pictures: {100 * kept.value:.1f}%")
    about = "Scatter of the lowest wrong error against d_p with two margins, and the shares kept"
    return f"{about}: {'; '.join(said)}."


def of_example(diagnosis: Diagnosis) -> str:
    """Of the picture whose decision changes."""
    found = diagnosis.example
    if found is None:
        return ""
    sides = [_side(side) for side in (found.clean, found.corrupted)]
    about = f"Bars of the error of each class for picture {found.sample_id}, {found.label}"
    return f"{about}. {' '.join(sides)}"


def _side(side: Side) -> str:
    decisions = [f"{name} says {said or 'tie'}" for name, said in side.decisions.items()]
    return f"{side.condition}: {listed(decisions)}."
