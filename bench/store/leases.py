"""Who computes what, where several runs share an output folder.

    OUT/.leases/<name>      one for each shard, training or manifest that is being made
    OUT/.leases/.clock      touched to ask the file system for its time

A lease is created exclusively (O_EXCL), so one process has it, also on NFS. Its process touches it
every few seconds; a lease that was not touched for `EXPIRES` seconds is free. Ages are measured
against a file that was touched just now in the same folder: the clocks of the machines need not
agree. On its own machine the lease of a process that is gone is free at once.

Leases save work; no result rests on them. Rows do not depend on who measures them, so a shard that
two runs compute, because one of them was suspended for a minute, is stored twice alike.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.util.files import digest, require_no_folder

FOLDER = ".leases"

#: Seconds between two touches of a lease.
BEAT = 10.0

#: Seconds without a touch after which a lease is free.
EXPIRES = 60.0

_UNKNOWN = "a process that has just begun"

#: Seconds between two looks at what others hold.
POLL = 1.0


@dataclass(frozen=True)
class Holder:
    """The process that has a lease.

    Attributes:
        host: Name of its machine, for people.
        machine: Which boot of which machine, or container: where `pid` means something.
        pid: Its id there.
        token: Drawn by it, once.
    """

    host: str
    machine: str
    pid: int
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended."""
        if self.machine != _MACHINE:
            return False
        if self.pid == os.getpid():
            return self.token != _me().token
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's
            return False
        return False


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        processes = str(Path("/proc/self/ns/pid").readlink())  # containers have their own ids
    except OSError:
        boot, processes = str(uuid.getnode()), ""
    return digest([socket.gethostname(), boot, processes])


_MACHINE = _machine()
_tokens: dict[int, str] = {}  # by process id: a forked process is another one


def _me() -> Holder:
    token = _tokens.setdefault(os.getpid(), secrets.token_hex(8))
    return Holder(socket.gethostname(), _MACHINE, os.getpid(), token)


class Leases:
    """The leases of one output folder, as one process sees them.

    Args:
        out: The output folder.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self._made = not out.exists()  # whether the folder of results is this run's
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._heart: threading.Thread | None = None

    def claim(self, name: str) -> bool:
        """Take a lease; whether this process has it now, which it had not before.

        Raises:
            UserError: If a folder lies in its place.
        """
        path, content = self.folder / name, json.dumps(asdict(_me()))
        for _ in range(3):
            try:
                with path.open("x") as file:
                    file.write(content)
            except FileNotFoundError:
                self.folder.mkdir(parents=True, exist_ok=True)
                continue
            except FileExistsError:
                require_no_folder(path)
                found = _read(path)
                if found is not None and not self._free(*found):
                    return False
                if found is not None:
                    _remove(path, found[0])
                continue
            self._keep(name)
            return True
        return False

    def release(self, name: str) -> None:
        """Give a lease back, unless it has expired and another process has it."""
        with self._lock:
            self._held.discard(name)
        path = self.folder / name
        found = _read(path)
        if found is not None and _holder(found[0]) == _me():
            path.unlink(missing_ok=True)

    def release_all(self) -> None:
        """Give back all that are held."""
        for name in list(self._held):
            self.release(name)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[bool]:
        """Hold a lease while the block runs; yields whether it could be had."""
        mine = self.claim(name)
        try:
            yield mine
        finally:
            if mine:
                self.release(name)

    @contextlib.contextmanager
    def awaited(self, name: str) -> Iterator[None]:
        """Hold a lease while the block runs, after whoever has it now."""
        while not self.claim(name):
            time.sleep(POLL / 10)
        try:
            yield
        finally:
            self.release(name)

    def holder(self, name: str) -> str | None:
        """Who has a lease, in words; None if it is free."""
        found = _read(self.folder / name)
        if found is None or self._free(*found):
            return None
        return str(_holder(found[0]) or _UNKNOWN)

    @property
    def token(self) -> str:
        """What no other process has."""
        return _me().token

    def others(self, prefix: str) -> list[str]:
        """All who have a lease whose name begins so, in words, less this process."""
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []
        found = [_read(self.folder / name) for name in names if name.startswith(prefix)]
        held = [_holder(one[0]) for one in found if one is not None and not self._free(*one)]
        return [str(one or _UNKNOWN) for one in dict.fromkeys(held) if one != _me()]

    def tidy(self) -> None:
        """Remove what processes left that are gone, and the folder if nobody is left.

        A run that was refused before any work leaves no folder of results either.
        """
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                found = None if path.name.startswith(".") else _read(path)
                if found is not None and self._free(*found):
                    _remove(path, found[0])
            if not [path for path in self.folder.iterdir() if path.name != ".clock"]:
                (self.folder / ".clock").unlink(missing_ok=True)
                self.folder.rmdir()
                if self._made:
                    self.folder.parent.rmdir()  # only if nothing is in it

    def _free(self, content: str, touched: float) -> bool:
        holder = _holder(content)
        return (holder is not None and holder.gone) or self._now() - touched > EXPIRES

    def _now(self) -> float:
        """The file system's time."""
        clock = self.folder / ".clock"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with clock.open("a") as file:
                os.utime(clock)
                return os.fstat(file.fileno()).st_mtime
        return time.time()  # a folder that can only be read

    def _keep(self, name: str) -> None:
        with self._lock:
            self._held.add(name)
            if self._heart is None or not self._heart.is_alive():
                self._heart = threading.Thread(target=self._touch, daemon=True)
                self._heart.start()

    def _touch(self) -> None:
        """Touch what is held, until nothing is."""
        while True:
            time.sleep(BEAT)
            with self._lock:
                held = list(self._held)
                if not held:
                    self._heart = None
                    return
            for name in held:
                with contextlib.suppress(OSError):
                    os.utime(self.folder / name)


def _read(path: Path) -> tuple[str, float] | None:
    """Content and time of the last touch; None if there is no such lease.

    Of a file that is opened: NFS answers `stat` from a cache of up to a minute.
    """
    try:
        with path.open(errors="replace") as file:  # damaged, it expires
            return file.read(), os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def _holder(content: str) -> Holder | None:
    try:
        found = Holder(**json.loads(content))
    except (ValueError, TypeError, RecursionError):  # it is being written, or damaged
        return None
    return found if isinstance(found.pid, int) and 0 < found.pid < 2**31 else None


def _remove(path: Path, content: str) -> None:
    """Remove a lease that was found free, if it is still that one.

    It is put aside first: another process may have removed it and made its own meanwhile.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.rename(aside)
    except OSError:  # another process was faster
        return
    found = _read(aside)
    if found is not None and found[0] != content:
        with contextlib.suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)
