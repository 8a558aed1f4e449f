"""Files that are never half written (temporary name, fsync, rename), and digests of content."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path; what is written there becomes `path` if the block succeeds.

    Works for a file and for a whole folder, on one file system.

    Args:
        path: The file or folder.
        flush: Force it to the disk before it gets its name, so that it is whole even if the machine
            loses power. Slow for thousands of files; not needed where they can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        if flush:
            _flush(scratch)
        if scratch.is_dir() and path.exists():
            shutil.rmtree(path)  # a rename does not replace a folder
        scratch.replace(path)
    except Exception as error:
        # Libraries report a full disk in their own ways; say it in one.
        if shutil.disk_usage(path.parent).free < 16 << 20:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            raise full from error
        raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, atomically."""
    with atomic(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n")


def digest(content: Any) -> str:
    """Twelve hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _flush(path: Path) -> None:
    """Force a file, or every file of a folder, to the disk."""
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
