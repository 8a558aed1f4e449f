"""Files that are never half written (temporary name, fsync, rename), and digests of content."""

import contextlib
import errno
import hashlib
import json
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.util.errors import LaterVersion, UserError

_UMASK = os.umask(0o077)  # it can only be read by setting it
os.umask(_UMASK)


def expanded(path: str | Path) -> Path:
    """A path as a user gives it, with `~` as the home folder; called where a path comes in.

    A `~name` of nobody stays as it is, so that the error about it names what was given.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises for nobody)


def cache_folder() -> Path:
    """Where drawn faces, facts of pictures and prepared data sets are kept.

    $EMODC_BENCH_CACHE, or emodc-bench in the user's cache folder.

    Raises:
        UserError: If there is none.
    """
    override = os.environ.get("EMODC_BENCH_CACHE")
    return expanded(override) if override else users_folder("XDG_CACHE_HOME", ".cache")


def users_folder(variable: str, name: str) -> Path:
    """The bench's folder in the user's one for caches or for configuration.

    Args:
        variable: Of the environment, which says where it is.
        name: What it is called in the home folder.

    Raises:
        UserError: If the user has no home, as some have in containers.
    """
    base = os.environ.get(variable)
    try:
        return (expanded(base) if base else Path.home() / name) / "emodc-bench"
    except RuntimeError as error:
        raise UserError(
            f"This user has no home folder: set the variable {variable} to a folder.", 1
        ) from error


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter: for what is kept of people's pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


@contextlib.contextmanager
def atomic(
    path: Path, flush: bool = True, private: bool = False, keep: bool = False
) -> Iterator[Path]:
    """Yield a temporary path; what is written there becomes `path` if the block succeeds.

    Works for a file and for a whole folder, on one file system.

    Args:
        path: The file or folder.
        flush: Force it to the disk before it gets its name, so that it is whole even if the machine
            loses power. Slow for thousands of files; not needed where they can be made again.
        private: Only the owner may read it, as befits pictures of people. Other files get the
            permissions of the umask, whatever a library that writes them thinks.
        keep: Whether a folder that another process has put there meanwhile stays, so that whoever
            reads it is not disturbed.

    Raises:
        UserError: If a folder lies where the file belongs, or a file where the folder does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_name(path)
    try:
        yield scratch
        for file in _files(scratch):
            file.chmod(0o600 if private else 0o666 & ~_UMASK)
            if flush:
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        _put(scratch, path, keep)
    except UserError:
        raise
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


def scratch_name(path: Path, kind: str = "tmp") -> Path:
    """A name beside `path` that no other process takes, of this machine or another one."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, atomically."""
    with atomic(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n")


def digest(content: Any) -> str:
    """Twelve hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    """A file, or every file of a folder."""
    return [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]


def _put(scratch: Path, path: Path, keep: bool) -> None:
    """Give what was written its name."""
    if not scratch.is_dir():
        require_no_folder(path)
        scratch.replace(path)
        return
    aside = scratch_name(path, "old")  # a rename replaces no folder
    for _ in range(10):
        try:
            if path.exists() and not path.is_dir():
                raise UserError(f"{path} is a file where a folder belongs: move it away.", 1)
            if not keep:
                with contextlib.suppress(FileNotFoundError):
                    path.rename(aside)
            scratch.rename(path)
            return
        except OSError as error:  # another process was faster and put its own there
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if keep:
                return
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    raise UserError(f"{path} is being written by another run: wait for it and run again.", 1)


def require_no_folder(path: Path) -> None:
    """Refuse a folder where a file belongs: what is in it is not ours to delete."""
    if path.is_dir():
        raise UserError(f"{path} is a folder where a file belongs: move it away.", 1)


# ------------------------------------------------------------------------------------------------
# JSON that says when it is damaged, changed by hand, or of a later version.


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON, atomically, with a checksum of itself."""
    write_json(path, content | {"checksum": digest(content)})


def read_sealed(path: Path, schema: int) -> dict[str, Any]:
    """What `write_sealed` wrote.

    Args:
        path: The file.
        schema: The latest `schema_version` that this version of the bench reads.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not as it was written.
        LaterVersion: If a later version of the bench wrote it.
    """
    try:
        content = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested without end") from error
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    version = content.get("schema_version")
    if isinstance(version, int) and version > schema:
        raise LaterVersion(
            f"{path} was written by a later version of the bench (schema {version}; this one reads "
            f"{schema}). Use that version, or another --out. If you never used one, the file is "
            "damaged: delete it, and the same command makes it again.",
            1,
        )
    written = content.pop("checksum", None)
    if written != digest(content):
        raise ValueError("its checksum does not fit: it was damaged or edited")
    return content


# ------------------------------------------------------------------------------------------------
# Files of which a user's work may consist, but no result: caches, and trainings that go on. Behind
# their content stands a SHA-256 of their name and the content; the name has a digest of what they
# are, so another's file is not believed either.

SEAL_BYTES = hashlib.sha256().digest_size


def seal(path: Path, name: str) -> None:
    """Append the seal of what `path` holds now; `name` is that of the finished file."""
    with path.open("rb") as file:
        state = hashlib.sha256(name.encode() + b"\0")
        while block := file.read(1 << 20):
            state.update(block)
    with path.open("ab") as file:
        file.write(state.digest())


def unsealed(path: Path) -> memoryview | None:
    """What stands before the seal of a file, memory-mapped; None if they do not fit or it is gone.

    The file must not be written over while it is used; one that is replaced does no harm.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    kept = content[:-SEAL_BYTES]
    state = hashlib.sha256(path.name.encode() + b"\0")
    state.update(kept)
    return kept if state.digest() == content[-SEAL_BYTES:] else None


# ------------------------------------------------------------------------------------------------
# Parquet files that are never half written, and that say when they are damaged.


def write_parquet(
    path: Path, frame: pd.DataFrame, schema: pa.Schema, private: bool = False, sealed: bool = False
) -> None:
    """Write `frame`, atomically, with the schema's metadata; see `write_table`."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    # Without what pandas adds: it says nothing that the schema does not, and breaks when damaged.
    write_table(
        path, table.replace_schema_metadata(schema.metadata), private=private, sealed=sealed
    )


def write_table(
    path: Path,
    table: pa.Table,
    floats: str | None = None,
    private: bool = False,
    sealed: bool = False,
) -> None:
    """Write `table`, atomically, with a checksum per page.

    Args:
        path: Where.
        table: What.
        floats: The column, as Parquet names it, that most of the table is. Measured floats hardly
            repeat: their bytes stored apart compress better than a dictionary of them.
        private: As of `atomic`.
        sealed: Whether to seal it, so that no edited or other file is read in its place.
    """
    packed = {"use_dictionary": False, "use_byte_stream_split": [floats]} if floats else {}
    # Opened here: PyArrow takes a path with a colon for a URI.
    with atomic(path, private=private) as scratch:
        with pa.OSFile(str(scratch), "wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True, **packed)
        if sealed:
            seal(scratch, path.name)


def read_parquet(
    path: Path, schema: pa.Schema | None = None, sealed: bool = False
) -> pa.Table | None:
    """The table at `path`, None if it is absent, damaged or has other columns than `schema`."""
    try:
        content = unsealed(path) if sealed else path.read_bytes()
    except OSError:
        return None
    return None if content is None else parse_parquet(content, schema, verified=sealed)


def parse_parquet(
    content: bytes | memoryview, schema: pa.Schema | None = None, verified: bool = False
) -> pa.Table | None:
    """The table that a Parquet file's bytes hold; None if they are damaged or of another schema.

    Args:
        content: The file.
        schema: The columns that it must have.
        verified: Whether a checksum of the whole file was compared already.
    """
    try:
        # Parts are small and many: threads and a search for partitions cost more than they give.
        with pq.ParquetFile(
            pa.BufferReader(pa.py_buffer(content)), page_checksum_verification=not verified
        ) as file:
            table = file.read(use_threads=False)
    except (OSError, ValueError, pa.ArrowException):  # names of columns may be no text
        return None
    # No checksum covers the footer: types may be others than were written.
    return table if schema is None or table.schema.equals(schema) else None


# ------------------------------------------------------------------------------------------------
# Files that come with the bench: beside the code in a clone, inside the package when installed.


_PACKAGE = Path(__file__).parents[1]


def find(relative: Path) -> Path | None:
    """The shipped file or folder at `relative` (for example configs/default.yaml), if it exists."""
    for root in (_PACKAGE.parent, _PACKAGE / "_shipped"):
        if (root / relative).exists():
            return root / relative
    return None
