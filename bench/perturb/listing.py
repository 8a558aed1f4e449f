"""What `bench perturb list` says: presets, their members and constants."""

import textwrap
from typing import Any

from bench.constants import in_words
from bench.perturb import PRESETS, Preset


def as_json() -> list[dict[str, Any]]:
    """A dict per preset."""
    return [
        {
            "name": preset.name,
            "version": preset.version,
            "about": preset.about,
            "corruptions": [c.parameters() for c in preset.corruptions.values()],
        }
        for preset in PRESETS.values()
    ]


def as_text(width: int) -> str:
    """A paragraph per preset, wrapped to `width` columns."""
    return "\n\n".join(_paragraph(preset, width) for preset in PRESETS.values())


def _paragraph(preset: Preset, width: int) -> str:
    lines = textwrap.wrap(
        f"{preset.name}: {preset.about}. Version {preset.version}.", width, subsequent_indent="  "
    )
    for corruption in preset.corruptions.values():
        text = f"{corruption.name}: {in_words(corruption.parameters())}"
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    return "\n".join(lines)
