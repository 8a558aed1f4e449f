"""Leases: one process has one, whatever clocks say, and none outlives its process."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.store import leases
from bench.store.leases import FOLDER, Leases
from bench.util.errors import UserError


def write(out: Path, age: float = 0.0, **changes: Any) -> Path:
    """The lease "a" of another process, touched `age` seconds ago."""
    (out / FOLDER).mkdir(exist_ok=True)
    path = out / FOLDER / "a"
    holder = replace(leases._me(), token="another", **changes)
    path.write_text(json.dumps(asdict(holder)))
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _claim(own: Leases, start: threading.Barrier, won: list[Leases]) -> None:
    start.wait()
    if own.claim("a"):
        won.append(own)


def test_one_of_many_has_it(tmp_path: Path) -> None:
    for _ in range(20):
        start, won = threading.Barrier(8), list[Leases]()

        each = [(Leases(tmp_path), start, won) for _ in range(8)]
        threads = [threading.Thread(target=_claim, args=own) for own in each]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        won[0].release("a")
    assert Leases(tmp_path).claim("a")


@pytest.mark.parametrize(
    ("lease", "free"),
    [
        ({"machine": "another"}, False),
        ({"machine": "another", "age": 1e4}, True),
        ({"pid": "ended"}, True),
        ({"pid": "running"}, False),
        ({"pid": "running", "age": 1e4}, True),  # suspended, or another process of this id
        ({}, True),  # of an earlier process with the id of this one
    ],
    ids=str,
)
def test_what_is_free(
    tmp_path: Path, lease: dict[str, Any], free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clocks of machines do not matter, only the file system's.
    monkeypatch.setattr(time, "time", lambda: 1e12)
    if lease.get("pid") == "ended":
        lease = lease | {"pid": ended()}
    elif lease.get("pid") == "running":
        lease = lease | {"pid": os.getppid()}
    write(tmp_path, **lease)
    own = Leases(tmp_path)
    assert (own.holder("a") is None) == free
    assert len(own.others("a")) == (not free)
    assert own.claim("a") == free
    assert len(own.others("a")) == (not free)  # its own does not count


def test_a_lease_that_is_being_written_is_held(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("")
    assert not Leases(tmp_path).claim("a")
    os.utime(path, (0, 0))
    assert Leases(tmp_path).claim("a")


def test_it_is_touched_as_long_as_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    own = Leases(tmp_path)
    with own.held("a") as mine:
        assert mine
        path = tmp_path / FOLDER / "a"
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 60
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
    assert not path.exists()


def test_a_new_lease_is_not_removed_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = write(tmp_path)
    leases._remove(path, "what was there before")
    assert json.loads(path.read_text())["token"] == "another"
    leases._remove(path, path.read_text())
    assert not path.exists()


def test_what_another_process_has_taken_is_not_released(tmp_path: Path) -> None:
    own = Leases(tmp_path)
    assert own.claim("a")
    path = write(tmp_path, machine="another")
    own.release("a")
    assert path.exists()


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    write(tmp_path, pid=ended())
    own = Leases(tmp_path)
    with own.awaited("b"):
        own.tidy()
        assert [path.name for path in (tmp_path / FOLDER).glob("[!.]*")] == ["b"]
    own.tidy()
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[1]", b'{"host": 1}', b"[" * 9000, b"pid"]
)
def test_a_damaged_lease_is_free_when_it_expires(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path)
    whole = json.loads(path.read_bytes())
    path.write_bytes(json.dumps(whole | {"pid": "x"}).encode() if content == b"pid" else content)
    own = Leases(tmp_path)
    assert own.others("") and own.holder("a") and not own.claim("a")
    os.utime(path, (1, 1))
    own.tidy()
    assert own.claim("a")


def test_a_folder_in_the_place_of_a_lease_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "a").mkdir(parents=True)
    with pytest.raises(UserError, match="a folder where a file belongs"):
        Leases(tmp_path).claim("a")
