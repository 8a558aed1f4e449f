"""The constants of a corruption in words, from what its manifest or its preset says of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


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
