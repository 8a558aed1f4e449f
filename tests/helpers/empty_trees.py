"""Trees of empty files: a listing opens no picture."""

from collections.abc import Iterable
from pathlib import Path

from bench.data.readers import Listing


def touch(root: Path, names: Iterable[str]) -> Path:
    """Files without content below `root`, which is returned."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def labels(listing: Listing) -> dict[str, str]:
    """Label of each entry by its id."""
    return {entry.id: entry.label for entry in listing.entries}
