"""Data sets that may only be used under an agreement: asked for once, remembered.

The bench has no downloader for them and sends nothing anywhere. It asks so that nobody uses the
pictures of people by accident without the right to.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from bench import plugins
from bench.data.readers import LAYOUTS, Layout, Listing
from bench.util.errors import UserError, unknown
from bench.util.files import expanded, write_json

#: Comma-separated kinds whose agreement the user holds, for jobs that nobody watches.
VARIABLE = "EMODC_BENCH_AGREEMENTS"


def agreement_is_needed(layout: Layout, listing: Listing) -> bool:
    """Whether a data set is gated and its agreement was not confirmed yet.

    Trees of drawn faces need none.
    """
    if layout.terms is None or layout.kind in _remembered() | _from_environment():
        return False
    return not listing.drawn(layout.root)


def require_agreement(layout: Layout, listing: Listing) -> None:
    """Refuse a data set whose agreement is needed.

    Raises:
        UserError: With the terms and the ways to confirm.
    """
    if agreement_is_needed(layout, listing):
        raise refusal([layout])


def refusal(layouts: Sequence[Layout]) -> UserError:
    """The error for data sets whose agreements were not confirmed: terms and ways to confirm."""
    given = "; ".join(
        f"{layout.title} is given out under an agreement ({layout.terms})" for layout in layouts
    )
    kinds = ",".join(dict.fromkeys(layout.kind for layout in layouts))
    return UserError(
        f"{given}. If you hold {'it' if len(layouts) == 1 else 'them'}, say so once with "
        f"--i-hold-the-agreement, or set {VARIABLE}={kinds} for jobs that nobody watches."
    )


def confirm(kind: str) -> None:
    """Remember that the user holds the agreement for a kind of data set.

    Raises:
        UserError: If it cannot be written down.
    """
    try:
        write_json(_record(), sorted({*_remembered(), kind}))
    except OSError as error:
        raise UserError(
            f"cannot remember the agreement for {kind} in {_record()} ({error.strerror}). Set "
            f"{VARIABLE}={kind} instead, or XDG_CONFIG_HOME to a folder that can be written.",
            1,
        ) from error


def _from_environment() -> set[str]:
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    for name in named:
        if name not in LAYOUTS and plugins.find("dataset", name) is None:
            raise unknown(f"data set ({VARIABLE})", name, LAYOUTS)
    return named


def _remembered() -> set[str]:
    try:
        content = json.loads(_record().read_text())
    except (OSError, ValueError):
        return set()
    return (
        {kind for kind in content if isinstance(kind, str)} if isinstance(content, list) else set()
    )


def _record() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (expanded(base) if base else Path.home() / ".config") / "emodc-bench" / "agreements.json"
