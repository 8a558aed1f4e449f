"""Remove what the bench keeps of a user's pictures: prepared pixels, and facts about them."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from bench.data.cache import cache_folder
from bench.data.layouts.base import Layout
from bench.data.on_disk import packed
from bench.data.on_disk.examine import memory


def purge(layout: Layout | None) -> int:
    """Remove what is kept of one data set, or of all.

    Drawn faces, which are nobody's, stay.

    Args:
        layout: Whose pictures; those of every data set if it is None.

    Returns:
        The number of bytes freed.
    """
    if layout is None:
        return _removed([cache_folder() / "prepared", cache_folder() / "pictures"])
    return _removed([packed.folder_of(layout), memory(layout)])


def _removed(paths: Iterable[Path]) -> int:
    freed = 0
    for path in paths:
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        elif path.exists():
            freed += path.stat().st_size
            path.unlink()
    return freed
