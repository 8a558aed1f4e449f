"""Pictures are opened once, by one process or several, and again when they change."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.base import ClipDataSet
from bench.data.images import Box, UnreadablePicture
from bench.data.on_disk import examine as module
from bench.data.on_disk import open_layout
from bench.data.on_disk.examine import examine, likeness_hash, memory
from bench.data.on_disk.packed import purge
from bench.data.readers import LAYOUTS, Listing, make_like
from bench.data.readers.base import Entry, PictureFile
from bench.data.readers.folder import ClipFolder, Folder
from bench.util.errors import UserError
from bench.util.files import read_parquet


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMODC_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that are opened from now on, in this process."""
    paths: list[str] = []
    fact = module._fact

    def noted(base: Path, source: PictureFile) -> tuple:
        paths.append(source.path)
        return fact(base, source)

    monkeypatch.setattr(module, "_fact", noted)
    return paths


def facts(root: Path, processes: int | None = None) -> pd.DataFrame:
    layout = Folder(root=root)
    return examine(layout, layout.listing(), processes=processes)


def test_facts_are_those_of_the_files(picture_folder: Path) -> None:
    found = facts(picture_folder)
    listing = Folder(root=picture_folder).listing()
    assert found["id"].tolist() == [entry.id for entry in listing.entries]
    first = found.iloc[0]
    assert (first["height"], first["width"], first["error"]) == (24, 32, "")
    assert first["likeness"] == likeness_hash(np.asarray(Image.open(picture_folder / first["id"])))
    assert found["sha256"].nunique() == 30


def test_pictures_are_opened_once_and_again_when_changed(
    picture_folder: Path, opened: list[str]
) -> None:
    before = facts(picture_folder)
    assert len(opened) == 30
    opened.clear()
    pd.testing.assert_frame_equal(facts(picture_folder), before)
    assert opened == []
    changed = picture_folder / "test" / "happy" / "001.png"
    Image.new("RGB", (40, 30)).save(changed)
    after = facts(picture_folder).set_index("id").loc["test/happy/001.png"]
    assert opened == ["test/happy/001.png"]
    assert (after["height"], after["width"]) == (30, 40)


def test_same_size_and_another_time_is_a_change(picture_folder: Path, opened: list[str]) -> None:
    facts(picture_folder)
    opened.clear()
    os.utime(picture_folder / "test" / "happy" / "001.png", ns=(1, 1))
    facts(picture_folder)
    assert opened == ["test/happy/001.png"]


def _copied(new: Path, old: Path) -> None:
    shutil.copy2(new, old)  # as `cp -p`: into the same inode


def _synchronised(new: Path, old: Path) -> None:
    shutil.copy2(new, new.with_name("scratch"))
    new.with_name("scratch").replace(old)  # as `rsync -t`: another inode


@pytest.mark.parametrize("replace", [_copied, _synchronised])
def test_a_replaced_picture_of_equal_size_and_time_is_another(
    picture_folder: Path, tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    old = picture_folder / "test" / "happy" / "001.png"
    new = picture_folder / "test" / "neutral" / "001.png"
    for path, colour in ((old, (1, 2, 3)), (tmp_path / "new.bmp", (3, 2, 1))):
        Image.new("RGB", (24, 24), colour).save(path, "BMP")
        os.utime(path, ns=(10**18, 10**18))
    before = open_layout(Folder(root=picture_folder))
    sample = next(s for s in before.samples("test") if s.id == "test/happy/001.png")
    replace(tmp_path / "new.bmp", old)
    assert new.exists() and old.stat().st_mtime_ns == 10**18
    with pytest.raises(UnreadablePicture, match="removed or changed"):
        before.picture(sample)
    after = open_layout(Folder(root=picture_folder))
    assert after.picture(sample)[0, 0].tolist() == [3, 2, 1]
    assert after.digest != before.digest


@pytest.mark.parametrize("replace", [_copied, _synchronised])
@pytest.mark.parametrize("frame", ["0.png", "2.png", "4.png"])
def test_a_replaced_frame_is_another_clip(
    tmp_path: Path, frame: str, replace: Callable[[Path, Path], None]
) -> None:
    """The first, the middle and the last one; a folder's own times tell of none."""
    for number, place in enumerate(
        f"{split}/{label}/{clip}" for split in ("train", "test") for label in "ab" for clip in "xyz"
    ):
        folder = tmp_path / "clips" / place
        folder.mkdir(parents=True)
        for count in range(5):
            Image.new("RGB", (24, 24), (number, 10 * count, 0)).save(folder / f"{count}.png")
    layout = ClipFolder(root=tmp_path / "clips")
    before, new = open_layout(layout), tmp_path / "new.png"
    old = tmp_path / "clips" / "test" / "a" / "x" / frame
    sample = next(s for s in before.samples("test") if s.id == "test/a/x")
    Image.new("RGB", (24, 24), (99, 99, 99)).save(new)
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    replace(new, old)
    with pytest.raises(UnreadablePicture, match="removed or changed"):
        before.clip(sample, [0, 2, 4])
    after = open_layout(layout)
    assert after.digest != before.digest
    assert (after.clip(sample, [int(frame[0])]) == 99).all()


@pytest.mark.parametrize("kind", ["folder", "manifest", "fer2013", "clip_folder"])
def test_other_bytes_under_the_same_stamp_are_an_error_when_measured(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that keep no time of change; nothing is shown under the old digest."""
    make_like(kind, tmp_path / kind, 2)
    layout = LAYOUTS[kind].model_validate({"kind": kind, "root": tmp_path / kind})
    monkeypatch.setattr("bench.data.readers.base.stamp", lambda *_: (1, 2, 3, 4))
    dataset = open_layout(layout)
    sample = dataset.samples("test")[0]
    source = dataset.source(sample)
    file, content = dataset.base / source.path, source.content(dataset.base)
    start = file.read_bytes().index(content[:200])
    with file.open("r+b") as opened:
        opened.seek(start + 60)
        opened.write(b"1 1 1")
    fresh = open_layout(layout)
    assert fresh.digest == dataset.digest  # nothing tells yet
    reads = [fresh.picture]
    if isinstance(fresh, ClipDataSet):
        reads.append(lambda sample: fresh.clip(sample, [0]))
    for read in reads:
        with pytest.raises(UserError, match="purge") as raised:
            read(sample)
        assert str(file) in str(raised.value) and raised.value.exit_code == 1
    purge(layout)
    assert open_layout(layout).digest != dataset.digest


def test_a_touched_picture_with_its_old_bytes_is_measured(picture_folder: Path) -> None:
    dataset = open_layout(Folder(root=picture_folder))
    sample = dataset.samples("test")[0]
    before = dataset.picture(sample)
    os.utime(picture_folder / sample.id)
    np.testing.assert_array_equal(dataset.picture(sample), before)


def test_a_box_is_another_picture_of_the_same_file(picture_folder: Path) -> None:
    def listing(box: Box | None) -> Listing:
        source = PictureFile("test/happy/000.png", box)
        return Listing(picture_folder, (Entry("one", "happiness", "test", source),), ("happiness",))

    layout = Folder(root=picture_folder)
    whole = examine(layout, listing(None)).iloc[0]
    part = examine(layout, listing(Box(2, 2, 10, 8))).iloc[0]
    assert (whole["height"], whole["width"]) == (24, 32)
    assert (part["height"], part["width"]) == (8, 10)
    assert part["sha256"] != whole["sha256"]


def test_what_another_protocol_listed_is_not_forgotten(
    picture_folder: Path, opened: list[str]
) -> None:
    facts(picture_folder)
    listing = Folder(root=picture_folder).listing()
    few = Listing(listing.base, listing.entries[:3], listing.classes)
    Image.new("RGB", (40, 30)).save(picture_folder / listing.entries[0].source.path)
    examine(Folder(root=picture_folder), few)
    opened.clear()
    facts(picture_folder)
    assert opened == []


def test_unreadable_pictures_say_why(picture_folder: Path) -> None:
    (picture_folder / "test" / "happy" / "000.png").write_bytes(b"no picture")
    listing = Folder(root=picture_folder).listing()
    (picture_folder / "test" / "happy" / "001.png").unlink()
    found = examine(Folder(root=picture_folder), listing).set_index("id")
    assert "no JPEG" in found.loc["test/happy/000.png", "error"]
    assert "no such file" in found.loc["test/happy/001.png", "error"].lower()
    assert found.loc["test/happy/000.png", "sha256"] == ""
    assert (found["error"] != "").sum() == 2


def test_two_processes_find_what_one_does(picture_folder: Path) -> None:
    one = facts(picture_folder, processes=1)
    shutil.rmtree(os.environ["EMODC_BENCH_CACHE"])
    pd.testing.assert_frame_equal(facts(picture_folder, processes=2), one)


def test_an_interruption_keeps_what_was_found(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fact = module._fact
    count = 0

    def interrupted(base: Path, source: PictureFile) -> tuple:
        nonlocal count
        count += 1
        if count == 11:
            raise KeyboardInterrupt
        return fact(base, source)

    monkeypatch.setattr(module, "_fact", interrupted)
    with pytest.raises(KeyboardInterrupt):
        facts(picture_folder)
    facts(picture_folder)
    assert count == 11 + 20


def test_a_damaged_memory_is_made_again(picture_folder: Path, opened: list[str]) -> None:
    before = facts(picture_folder)
    path = memory(Folder(root=picture_folder))
    path.write_bytes(path.read_bytes()[:-20])
    opened.clear()
    pd.testing.assert_frame_equal(facts(picture_folder), before)
    assert len(opened) == 30


def test_the_memory_names_no_file(picture_folder: Path) -> None:
    facts(picture_folder)
    table = read_parquet(memory(Folder(root=picture_folder)), sealed=True)
    assert table is not None
    content = table.to_pandas().to_csv()
    assert "happy" not in content and ".png" not in content


class Fatal(PictureFile):
    """A picture on which the process dies."""

    def content(self, base: Path) -> bytes:
        os._exit(9)


def test_a_process_that_dies_is_a_sentence(picture_folder: Path) -> None:
    entries = tuple(Entry(str(n), "x", "test", Fatal(f"{n}.png")) for n in range(3))
    listing = Listing(picture_folder, entries, ("x",))
    with pytest.raises(UserError, match="memory") as raised:
        examine(Folder(root=picture_folder), listing, processes=2)
    assert raised.value.exit_code == 1


def test_two_at_once_disturb_nobody(picture_folder: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom bench.data.on_disk.examine import examine\n"
        "from bench.data.readers.folder import Folder\nlayout = Folder(root=Path(sys.argv[1]))\n"
        "print(examine(layout, layout.listing())['sha256'].tolist())\n"
    )
    command = [sys.executable, "-c", script, str(picture_folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1] == f"{facts(picture_folder)['sha256'].tolist()}\n"
