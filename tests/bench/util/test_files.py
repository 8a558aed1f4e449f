import json
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.on_disk.dataset import confirm
from bench.util import files
from bench.util.errors import UserError
from bench.util.files import atomic, read_sealed, seal, unsealed, write_json, write_sealed


def test_a_failed_write_leaves_the_old_file_and_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert '"old"' in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_full_disk_is_named_whatever_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space left") as caught, atomic(tmp_path / "file"):
        raise RuntimeError("file write failed")
    assert caught.value.filename == str(tmp_path / "file")


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    for name in ("first", "second"):
        with atomic(folder) as scratch:
            scratch.mkdir()
            (scratch / name).write_text("x")
    assert [p.name for p in folder.iterdir()] == ["second"]


@pytest.mark.parametrize(("private", "mode"), [(False, 0o640), (True, 0o600)])
@pytest.mark.parametrize("written_with", [0o600, 0o666])
def test_permissions_are_those_of_the_umask_or_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool, mode: int, written_with: int
) -> None:
    monkeypatch.setattr(files, "_UMASK", 0o027)
    with atomic(tmp_path / "file", private=private) as scratch:
        scratch.write_text("x")
        scratch.chmod(written_with)  # safetensors writes its files 0600
    with atomic(tmp_path / "folder", private=private) as scratch:
        scratch.mkdir()
        (scratch / "weights").write_text("x")
    for path in (tmp_path / "file", tmp_path / "folder" / "weights"):
        assert path.stat().st_mode & 0o777 == mode


def test_what_lies_where_another_kind_belongs_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "a" / "mine").mkdir(parents=True)
    (tmp_path / "b").write_text("mine")
    with pytest.raises(UserError, match="is a folder where a file belongs"):
        write_json(tmp_path / "a", {})
    with pytest.raises(UserError, match="is a file where a folder"), atomic(tmp_path / "b") as new:
        new.mkdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "a" / "mine").exists() and (tmp_path / "b").read_text() == "mine"


def test_sealed_json_comes_back_and_says_when_it_was_changed(tmp_path: Path) -> None:
    path, content = tmp_path / "file", {"schema_version": 2, "numbers": [0.1, 1e-300], "n": None}
    write_sealed(path, content)
    assert read_sealed(path, 2) == content
    whole = path.read_bytes()
    for damaged in (
        *(whole[:half] for half in (0, len(whole) // 2)),
        whole.replace(b"0.1", b"0.2"),
        whole.replace(b"null", b"\xffull"),
        b"[" * 100_000,
        b"[]",
        json.dumps(content).encode(),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError):
            read_sealed(path, 2)


def test_what_a_later_version_wrote_is_refused(tmp_path: Path) -> None:
    write_sealed(tmp_path / "file", {"schema_version": 3})
    with pytest.raises(UserError, match="later version of the bench"):
        read_sealed(tmp_path / "file", 2)


@pytest.mark.parametrize("content", [b"", b"x", bytes(3 << 20)])
def test_a_sealed_file_comes_back_under_its_own_name_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache-1f"
    path.write_bytes(content)
    assert unsealed(path) is None  # as written by an older version
    seal(path, path.name)
    whole = path.read_bytes()
    kept = unsealed(path)
    assert kept is not None and kept == content
    shutil.copy(path, tmp_path / "cache-2f")
    assert unsealed(tmp_path / "cache-2f") is None
    for damaged in (whole[:-1], whole + b"x", bytes([whole[0] ^ 1]) + whole[1:], b""):
        path.write_bytes(damaged)
        assert unsealed(path) is None
    assert unsealed(tmp_path / "nowhere") is None and unsealed(tmp_path) is None


@pytest.mark.parametrize("call", [files.cache_folder, lambda: confirm("raf_db")])
def test_a_user_without_a_home_is_told_which_variable_to_set(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]
) -> None:
    """As in a container that is started for a number nobody has a name for."""
    for name in ("HOME", "EMODC_BENCH_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(UserError, match="no home folder: set the variable XDG_C"):
        call()
