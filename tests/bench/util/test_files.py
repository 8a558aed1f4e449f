import shutil
from pathlib import Path

import pytest

from bench.util.files import atomic, write_json


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
