"""The user's cache folder."""

import os
from pathlib import Path

from bench.util.files import expanded


def cache_folder() -> Path:
    """Where drawn faces, facts of pictures and prepared data sets are kept.

    $EMODC_BENCH_CACHE, or emodc-bench in the user's cache folder.
    """
    override = os.environ.get("EMODC_BENCH_CACHE")
    if override:
        return expanded(override)
    base = os.environ.get("XDG_CACHE_HOME")
    return (expanded(base) if base else Path.home() / ".cache") / "emodc-bench"
