"""Data sets that may only be used under an agreement: asked for once, remembered.

The bench has no downloader for them and sends nothing anywhere. It asks so that nobody uses the
pictures of people by accident without the right to.
"""

import json
import os
from pathlib import Path

from bench.data.layouts import LAYOUTS, Layout, Listing
from bench.errors import UserError, unknown
from bench.files import write_json

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
        raise UserError(
            f"{layout.title} is given out under an agreement ({layout.terms}). If you hold it, say "
            f"so once with --i-hold-the-agreement, or set {VARIABLE}={layout.kind} for jobs that "
            "nobody watches."
        )


def confirm(kind: str) -> None:
    """Remember that the user holds the agreement for a kind of data set."""
    write_json(_record(), sorted({*_remembered(), kind}))


def _from_environment() -> set[str]:
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    for name in named:
        if name not in LAYOUTS:
            raise unknown(f"data set ({VARIABLE})", name, LAYOUTS)
    return named


def _remembered() -> set[str]:
    try:
        content = json.loads(_record().read_text())
    except (OSError, ValueError):
        return set()
    return set(content) if isinstance(content, list) else set()


def _record() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "emodc-bench" / "agreements.json"
