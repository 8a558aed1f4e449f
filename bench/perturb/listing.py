"""The constants of a corruption in words, from what its manifest or its preset says of it."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.perturb import CONTINUOUS, PRESETS, Preset


def in_words(parameters: Mapping[str, Any]) -> str:
    """Constant by constant over the severities, such as "amount 1.5, 2, 2.5; decay 2".

    A constant that is the same at all severities is said once, a long list by its ends.

    Args:
        parameters: As `bench.perturb.Corruption.parameters` gives them.
    """
    each = [dict(_flat(level)) for level in parameters["levels"]]
    names = dict.fromkeys(name for level in each for name in level)
    return "; ".join(
        f"{name} {_series([level.get(name, '–') for level in each])}".strip() for name in names
    )


_SAID = ("name", "levels", "version", "severity", "torchattacks", "outputs", "split", "views")


def other_parameters(parameters: Mapping[str, Any]) -> str:
    """Parameters of an attack or of a user's own function, such as "steps 10; step size eps/4".

    Args:
        parameters: As `bench.perturb.Perturbation.inputs` gives them; of a corruption of the bench
            the result is empty, for `in_words` has its constants.
    """
    own = {name: value for name, value in parameters.items() if name not in _SAID}
    if "frames" in own:  # of a sequence
        return ""
    return "; ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in own.items())


def _flat(level: Any) -> Iterable[tuple[str, str]]:
    """Names and values of the constants at one severity; parts of a mix by their own names."""
    if isinstance(level, Mapping):
        return [(str(name).replace("_", " "), _value(value)) for name, value in level.items()]
    if isinstance(level, list | tuple) and all(isinstance(part, list | tuple) for part in level):
        return [
            (f"{part} {name}".replace("_", " "), value)
            for part, constants in level
            for name, value in _flat(constants)
        ]
    return [("", _value(level))]


def _series(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > 3:
            return f"{_value(value[0])} to {_value(value[-1])} ({len(value)} values)"
        return "(" + ", ".join(map(_value, value)) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------
# What `bench perturb list` says: presets, their members and constants.


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
            "levels": list(one.usual_levels),
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
