"""What corruptions were made of: presets, versions and constants, as the cells' manifests say."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.constants import in_words
from bench.report.groups import Group, Result
from bench.report.results import Results
from bench.report.spec import TableSpec, Value

TITLE = "Corruptions and their constants"


def constants_table(results: Results) -> list[TableSpec]:
    """A row per corruption, in the order of the plan; none if no manifest tells of any.

    A corruption whose cells differ in a constant or in version, as those of several versions of
    the bench may, has a row for each.
    """
    rows: dict[tuple[Value, ...], None] = {}
    for parameters, preset in _known(results.complete):
        what = parameters["name"].replace("_", " ")
        rows[what, preset, str(parameters.get("version", "")), in_words(parameters)] = None
    if not rows:
        return []
    about = (
        "What each corruption was made of, from the manifests of its cells: the preset that has "
        "it and the preset's version, the version of its pixels, and the constants at severities "
        "1, 2 and so on; a single value holds at all of them, and of long lists the ends and the "
        "count are given. docs/corruptions.md says what they mean."
    )
    header = ("corruption", "preset", "version", "constants")
    return [TableSpec("constants", TITLE, about, header, tuple(rows))]


def presets_note(group: Group, corruptions: Sequence[str]) -> str:
    """For captions over many corruptions: their presets; empty if no manifest has one."""
    known = _known(r for r in group.results if r.cell.perturbation in corruptions)
    presets = dict.fromkeys(preset for _, preset in known if preset)
    if not presets:
        return ""
    plural = "s" if len(presets) > 1 else ""
    return f' Preset{plural} {", ".join(presets)}; constants: table "{TITLE}".'


def constants_note(group: Group, corruption: str) -> str:
    """For the caption of one corruption: preset, version and constants."""
    said = dict.fromkeys(
        (f"Preset {preset}, v" if preset else "V")
        + f"ersion {parameters.get('version')} of the corruption; {in_words(parameters)}"
        for parameters, preset in _known(
            r for r in group.results if r.cell.perturbation == corruption
        )
    )
    return "".join(f" {text}." for text in said)


def _known(results: Iterable[Result]) -> list[tuple[dict[str, Any], str | None]]:
    """Parameters and preset of each corrupted cell whose manifest has them."""
    found = []
    for result in results:
        parameters = result.manifest.inputs.get("perturbation")
        if result.cell.family != "corruption" or not isinstance(parameters, dict):
            continue
        if isinstance(parameters.get("levels"), list) and "name" in parameters:
            found.append((parameters, result.manifest.environment.get("preset")))
    return found
