"""Prepared pictures are those of the files, or not used; preparing survives everything."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.base import ClipDataSet, Split
from bench.data.on_disk import FilesDataSet, open_layout, packed
from bench.data.on_disk.examine import memory
from bench.data.on_disk.packed import purge
from bench.data.readers.base import Entry, Listing
from bench.data.readers.clips import Frames
from bench.data.readers.folder import Folder
from bench.util.errors import UserError
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)
ALL: Sequence[Split] = ("train", "val", "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMODC_BENCH_CACHE", str(tmp_path / "cache"))


def pictures(dataset: FilesDataSet, split: Split = "test") -> list[np.ndarray]:
    return [dataset.picture(sample) for sample in dataset.samples(split)]


def from_cache(dataset: FilesDataSet) -> int:
    """How many pictures are read without their files."""
    return 0 if dataset._packed is None else len(dataset._packed)


def test_bytes_are_those_of_the_files(picture_folder: Path) -> None:
    Image.new("L", (50, 20), 77).save(picture_folder / "test" / "happy" / "000.png")  # of any size
    layout = Folder(root=picture_folder)
    plain = open_layout(layout)
    done = packed.prepare(layout, ALL, QUIET)
    prepared = open_layout(layout)
    assert (done.pictures, done.added, done.unusable, from_cache(prepared)) == (30, 30, 0, 30)
    assert prepared.digest == plain.digest
    expected = [pictures(plain, split) for split in ALL]
    shutil.move(picture_folder / "test", picture_folder / "away")
    for split, files in zip(ALL, expected, strict=True):
        for ours, theirs in zip(pictures(prepared, split), files, strict=True):
            assert np.array_equal(ours, theirs) and ours.dtype == np.uint8
            assert not ours.flags.writeable and not theirs.flags.writeable


def test_it_may_be_pickled_for_workers(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    packed.prepare(layout, ALL, QUIET)
    dataset = open_layout(layout)
    before = pictures(dataset)
    content = pickle.dumps(dataset)
    assert len(content) < 30_000  # the pixels stay behind
    for ours, theirs in zip(pictures(pickle.loads(content)), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_changed_file_is_read_from_its_file(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    packed.prepare(layout, ALL, QUIET)
    Image.new("RGB", (24, 24), (1, 2, 3)).save(picture_folder / "test" / "happy" / "000.png")
    dataset = open_layout(layout)
    assert from_cache(dataset) == 29
    assert dataset.picture(dataset.samples("test")[0]).tolist() == [[[1, 2, 3]] * 24] * 24
    assert packed.prepare(layout, ALL, QUIET).added == 1
    dataset = open_layout(layout)
    assert from_cache(dataset) == 30
    assert dataset.picture(dataset.samples("test")[0]).tolist() == [[[1, 2, 3]] * 24] * 24


@pytest.mark.parametrize("damage", ["invert", "zero", "one bit", "swap"])
def test_damaged_pixels_are_noticed_and_made_again(picture_folder: Path, damage: str) -> None:
    layout = Folder(root=picture_folder)
    expected = pictures(open_layout(layout))
    packed.prepare(layout, ["test"], QUIET)
    file = packed.pixels_of(packed.folder_of(layout))
    pixels = np.fromfile(file, np.uint8)
    size = 24 * 32 * 3
    if damage == "invert":
        pixels = ~pixels
    elif damage == "zero":
        pixels[:] = 0
    elif damage == "one bit":
        pixels[size + 7] ^= 8
    else:
        pixels[: 2 * size] = np.roll(pixels[: 2 * size], size)
    pixels.tofile(file)
    dataset = open_layout(layout)
    np.testing.assert_array_equal(pictures(dataset), expected)
    again = packed.prepare(layout, ["test"], QUIET)
    assert again.added == {"invert": 10, "zero": 10, "one bit": 1, "swap": 2}[damage]
    shutil.move(picture_folder / "test", picture_folder / "away")
    np.testing.assert_array_equal(pictures(dataset := open_layout_of(layout, dataset)), expected)


def open_layout_of(layout: Folder, before: FilesDataSet) -> FilesDataSet:
    """The data set as opened before its files went away, with the pictures prepared now."""
    before._packed = packed.find(layout, before.contents)
    return before


def test_nobody_else_can_read_what_is_kept_of_faces(picture_folder: Path) -> None:
    os.umask(before := os.umask(0))
    layout = Folder(root=picture_folder)
    packed.prepare(layout, ALL, QUIET)
    kept = [packed.folder_of(layout).parent, memory(layout).parent]
    paths = [path for folder in kept for path in (folder, *folder.rglob("*"))]
    assert len(paths) == 7
    for path in paths:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert before == os.umask(before)


def test_some_splits_and_then_the_others(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    done = packed.prepare(layout, ["test"], QUIET)
    assert (done.pictures, done.added, done.bytes) == (10, 10, 10 * 24 * 32 * 3)
    done = packed.prepare(layout, ALL, QUIET)
    assert (done.pictures, done.added, done.bytes) == (30, 20, 30 * 24 * 32 * 3)


def test_copies_are_stored_once(picture_folder: Path) -> None:
    for name in ("happy", "neutral"):
        shutil.copy(
            picture_folder / "test" / "happy" / "000.png", picture_folder / "test" / name / "c.png"
        )
    done = packed.prepare(Folder(root=picture_folder), ["test"], QUIET)
    assert (done.pictures, done.bytes) == (10, 10 * 24 * 32 * 3)
    assert from_cache(open_layout(Folder(root=picture_folder))) == 12


def test_two_processes_decode_what_one_does(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    packed.prepare(layout, ALL, QUIET, processes=1)
    folder = packed.folder_of(layout)
    one = packed.pixels_of(folder).read_bytes(), packed.read_index(folder).to_csv()
    shutil.rmtree(folder)
    packed.prepare(layout, ALL, QUIET, processes=2)
    assert (packed.pixels_of(folder).read_bytes(), packed.read_index(folder).to_csv()) == one


KILLED = """
import sys, time
from pathlib import Path
from bench.data.on_disk import packed
from bench.data.readers.folder import Folder
from bench.util.progress import Reporter
packed._CHUNK_BYTES, packed._SAVE_EVERY = 5000, 0.0
pixels = packed._pixels
def slow(base, work):
    time.sleep(0.05)
    return pixels(base, work)
packed._pixels = slow
packed.prepare(Folder(root=Path(sys.argv[1])), ("train", "val", "test"), Reporter(quiet=True))
"""


def test_killed_and_continued(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    folder = packed.folder_of(layout)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(picture_folder)]) as process:
        deadline = time.monotonic() + 120
        while len(packed.read_index(folder)) < 5:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    safe = len(packed.read_index(folder))
    assert 5 <= safe < 30, "it finished before it could be killed"
    with packed.pixels_of(folder).open("ab") as file:  # what was written behind the last index
        file.write(b"half a picture")
    assert from_cache(open_layout(layout)) == safe
    done = packed.prepare(layout, ALL, QUIET)
    assert (done.pictures, done.added, done.bytes) == (30, 30 - safe, 30 * 24 * 32 * 3)
    prepared = open_layout(layout)
    found = [pictures(prepared, split) for split in ALL]
    purge(layout)
    plain = open_layout(layout)
    assert from_cache(plain) == 0
    for split, ours in zip(ALL, found, strict=True):
        for one, other in zip(ours, pictures(plain, split), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("damage", ["index", "pixels", "shorter"])
def test_damaged_files_are_slow_at_worst(picture_folder: Path, damage: str) -> None:
    layout = Folder(root=picture_folder)
    before = pictures(open_layout(layout))
    packed.prepare(layout, ALL, QUIET)
    folder = packed.folder_of(layout)
    file = packed.pixels_of(folder)
    if damage == "index":
        (folder / "index.parquet").write_bytes(b"PAR1 and nothing more")
    elif damage == "pixels":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:5000])
    assert from_cache(open_layout(layout)) == {"index": 0, "pixels": 0, "shorter": 2}[damage]
    for again in (False, True):
        if again:
            assert packed.prepare(layout, ALL, QUIET).pictures == 30
            assert from_cache(open_layout(layout)) == 30
        for ours, theirs in zip(pictures(open_layout(layout)), before, strict=True):
            assert np.array_equal(ours, theirs)


def test_a_small_disk_is_refused_before_the_work(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(picture_folder)
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _: usage._replace(free=30_000))
    with pytest.raises(UserError, match=r"need 69 kB.*has 30 kB.*EMODC_BENCH_CACHE"):
        packed.prepare(Folder(root=picture_folder), ALL, QUIET)
    assert not packed.pixels_of(packed.folder_of(Folder(root=picture_folder))).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_sentence(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    folder = packed.folder_of(layout)
    folder.mkdir(parents=True)
    packed.pixels_of(folder).symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"No space left.*same command") as raised:
        packed.prepare(layout, ALL, QUIET)
    assert raised.value.exit_code == 1


def test_only_one_prepares(picture_folder: Path) -> None:
    layout = Folder(root=picture_folder)
    with (
        packed._alone(packed.folder_of(layout)),
        pytest.raises(UserError, match="Another process"),
    ):
        packed.prepare(layout, ALL, QUIET)
    assert packed.prepare(layout, ALL, QUIET).added == 30


def test_a_file_that_changes_meanwhile_is_not_stored(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Folder(root=picture_folder)
    victim = picture_folder / "test" / "happy" / "000.png"
    wanted = packed._wanted

    def late(*arguments):
        found = wanted(*arguments)
        Image.new("RGB", (32, 24), (9, 9, 9)).save(victim)  # of the size that it had
        return found

    monkeypatch.setattr(packed, "_wanted", late)
    done = packed.prepare(layout, ALL, QUIET)
    assert (done.pictures, done.unusable) == (29, 1)
    dataset = open_layout(layout)
    assert dataset.picture(dataset.samples("test")[0])[0, 0].tolist() == [9, 9, 9]


class TwoClips(Folder):
    """Each class folder is a clip."""

    clips = True

    def listing(self) -> Listing:
        entries = []
        for folder in sorted(self.root.glob("*/*")):
            names = tuple(sorted(path.name for path in folder.iterdir()))
            for number in range(3):  # windows of each
                path = folder.relative_to(self.root).as_posix()
                source = Frames.of(path, names[number:])
                split: Split = "train" if path.startswith("train") else "test"
                entries.append(Entry(f"{path}-{number}", folder.name, split, source))
        return Listing(self.root, tuple(entries), ("happy", "neutral"))


def test_of_clips_the_middle_frames_are_prepared(picture_folder: Path) -> None:
    layout = TwoClips(root=picture_folder)
    done = packed.prepare(layout, ["test"], QUIET)
    dataset = open_layout(layout)
    assert done.pictures == from_cache(dataset) == 6
    assert isinstance(dataset, ClipDataSet)
    sample = dataset.samples("test")[1]
    middle = dataset.clip(sample, [dataset.frame_count(sample) // 2])[0]
    assert np.array_equal(dataset.picture(sample), middle)


def test_purge_removes_one_or_all_and_nothing_else(picture_folder: Path, tmp_path: Path) -> None:
    other = Folder(root=Path(shutil.copytree(picture_folder, tmp_path / "other")))
    layout = Folder(root=picture_folder)
    cache = tmp_path / "cache"
    (cache / "faces").mkdir(parents=True)
    (cache / "faces" / "drawn.npy").write_bytes(b"nobody's")
    for each in (layout, other):
        packed.prepare(each, ALL, QUIET)
    freed = purge(layout)
    assert freed > 30 * 24 * 32 * 3
    assert purge(layout) == 0
    assert (from_cache(open_layout(layout)), from_cache(open_layout(other))) == (0, 30)
    assert purge(None) > freed
    assert [path.name for path in cache.iterdir()] == ["faces"]
    assert len(list(picture_folder.rglob("*.png"))) == 30
