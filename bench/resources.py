"""Files that come with the bench: beside the code in a clone, inside the package when installed."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def find(relative: Path) -> Path | None:
    """The shipped file or folder at `relative` (for example configs/default.yaml), if it exists."""
    for root in (_PACKAGE.parent, _PACKAGE / "_shipped"):
        if (root / relative).exists():
            return root / relative
    return None
