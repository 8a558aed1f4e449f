"""What `bench perturb list` says: presets, their members and constants."""

import textwrap
from typing import Any

from bench.constants import in_words
from bench.perturb import CONTINUOUS, PRESETS, Preset


def as_json() -> list[dict[str, Any]]:
    """A dict per preset."""
    return [
        {
            "name": preset.name,
            "version": preset.version,
            "about": preset.about,
            "corruptions": [c.parameters() for c in preset.corruptions.values()],
            "sequences": [s.parameters() for s in preset.sequences.values()],
        }
        for preset in PRESETS.values()
    ]


def levels_as_json() -> list[dict[str, Any]]:
    """A dict per perturbation at continuous levels."""
    return [
        {
            **one.parameters(),
            "about": one.meaning,
            "bounds": list(one.bounds),
            "levels": [one.severity(level) for level in one.levels],
        }
        for one in CONTINUOUS.values()
    ]


def as_text(width: int) -> str:
    """A paragraph per preset and one of continuous levels, wrapped to `width` columns."""
    return "\n\n".join([*(_paragraph(own, width) for own in PRESETS.values()), _levels(width)])


def _levels(width: int) -> str:
    lines = textwrap.wrap(
        "continuous levels: `perturbations.levels`, any number within the bounds.",
        width,
        subsequent_indent="  ",
    )
    for one in CONTINUOUS.values():
        text = f"{one.name}: {one.meaning}; {one.bounds[0]:g} to {one.bounds[1]:g}"
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _paragraph(preset: Preset, width: int) -> str:
    lines = textwrap.wrap(
        f"{preset.name}: {preset.about}. Version {preset.version}.", width, subsequent_indent="  "
    )
    for corruption in preset.corruptions.values():
        text = f"{corruption.name}: {in_words(corruption.parameters())}"
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    for sequence in preset.sequences.values():
        first, last = sequence.constants[1 if sequence.noise else 0], sequence.constants[-1]
        span = f"{first:g}" if sequence.noise else f"{first:g} to {last:g}"
        lines.append(f"  {sequence.name}: {span}, {len(sequence.constants)} frames")
    return "\n".join(lines)
