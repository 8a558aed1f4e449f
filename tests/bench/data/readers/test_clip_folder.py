"""A folder of clips of one's own: folders of frames, and videos."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.base import Sample
from bench.data.images import UnreadablePicture, count_frames, read_video
from bench.data.on_disk import ClipFilesDataSet, open_layout
from bench.data.readers.cast import save, save_video
from bench.data.readers.clips import ClipSource, Frames, VideoFile
from bench.data.readers.folder import ClipFolder
from bench.util.errors import UserError


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("clip_folder")


def numbered(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Frames whose grey value is twelve times their number, left half red."""
    frames = [np.full((*size, 3), 12 * number, np.uint8) for number in range(count)]
    for frame in frames:
        frame[:, : size[1] // 2, 0] = 250
    return frames


def opened(root: Path) -> ClipFilesDataSet:
    dataset = open_layout(ClipFolder(root=root))
    assert isinstance(dataset, ClipFilesDataSet)
    return dataset


def test_clips_are_folders_and_videos(written: Callable[[str], Path]) -> None:
    listing = ClipFolder(root=written("clip_folder")).listing()
    sources = {entry.id: entry.source for entry in listing.entries}
    assert isinstance(sources["train/anger/000"], Frames)
    assert isinstance(sources["train/anger/002.mp4"], VideoFile)
    assert all(isinstance(source, ClipSource) for source in sources.values())
    dataset = opened(written("clip_folder"))
    for name in ("test/fear/001", "test/fear/002.mp4"):
        sample = Sample(name, "fear")
        count = dataset.frame_count(sample)
        clip = dataset.clip(sample, [0, count - 1, 0])
        assert clip.shape == (3, 64, 64, 3) and clip.dtype == np.uint8
        assert (clip[0] == clip[2]).all() and (clip[0] != clip[1]).any()
        assert (dataset.picture(sample) == dataset.clip(sample, [count // 2])[0]).all()


def test_frames_are_in_natural_order_and_tell_it_in_the_middle(tmp_path: Path) -> None:
    for number, frame in enumerate(numbered(11)):
        save(tmp_path / "clip" / f"{number}.png", frame)
    source = Frames.of("clip", [path.name for path in (tmp_path / "clip").iterdir()])
    assert source.names == [f"{number}.png" for number in range(11)]
    assert source.frame_count(tmp_path) == 11 and source.path == "clip/5.png"
    shown = source.read_frames(tmp_path, [10, 2, 2])
    assert shown[:, 0, -1, 2].tolist() == [120, 24, 24]


def test_a_frame_that_does_not_exist_or_cannot_be_read_is_named(root: Path) -> None:
    dataset = opened(root)
    sample = Sample("test/fear/001", "fear")
    count = dataset.frame_count(sample)
    for number in (-1, count):
        with pytest.raises(ValueError, match=f"frames 0 to {count - 1}"):
            dataset.clip(sample, [number])
    (root / "test" / "fear" / "001" / "1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"test/fear/001.*changed after the data set was opened"):
        dataset.clip(sample, [0])
    with pytest.raises(UserError, match=r"test/fear/001.*1\.png"):
        opened(root).clip(sample, [0])
    save(root / "test" / "fear" / "001" / "1.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match="several sizes"):
        opened(root).clip(sample, [0, 1])


def test_strays_and_wrong_folders_are_told(root: Path, tmp_path: Path) -> None:
    (root / "train" / "anger" / "empty").mkdir()
    shutil.copytree(root / "test" / "fear", root / "elsewhere" / "fear")
    listing = ClipFolder(root=root).listing()
    assert [found.path for found in listing.missing] == ["train/anger/empty"]
    assert listing.unlabelled == tuple(f"elsewhere/fear/{n}" for n in ("000", "001", "002.mp4"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"no clips.*found an empty folder"):
        ClipFolder(root=tmp_path / "nothing").listing()


def test_links_that_leave_the_root_are_refused(root: Path, tmp_path: Path) -> None:
    video = root / "test" / "fear" / "002.mp4"
    video.rename(tmp_path / "outside.mp4")
    video.symlink_to(tmp_path / "outside.mp4")
    listing = ClipFolder(root=root).listing()
    assert [found.path for found in listing.refused] == ["test/fear/002.mp4"]
    assert "test/fear/002.mp4" not in {entry.id for entry in listing.entries}


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".webm"])
def test_frames_of_videos_are_found_by_number_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    save_video(path, numbered(20))
    assert count_frames(path) == 20
    for numbers in ([0], [19, 0, 7], [10, 11, 12, 11]):
        shown = read_video(path, numbers)
        assert shown.shape == (len(numbers), 48, 64, 3)
        assert np.abs(shown[:, 10, 60, 2] - 12.0 * np.array(numbers)).max() < 6
        assert (shown[:, 10, 5, 0] > shown[:, 10, 5, 2]).all()  # red, not blue
    assert (read_video(path, [15]) == read_video(path, range(16))[15:]).all()


def test_a_video_that_is_cut_off_is_skipped_with_its_reason(root: Path) -> None:
    path = root / "test" / "fear" / "002.avi"
    draws = np.random.default_rng(0)
    save_video(path, list(draws.integers(0, 255, (40, 64, 64, 3), np.uint8)))
    os.truncate(path, path.stat().st_size // 2)
    (root / "test" / "fear" / "003.mp4").write_bytes(b"#EXTM3U\nhttp://localhost/x.ts\n")
    reasons = {skipped.path: skipped.reason for skipped in opened(root).skipped}
    assert "of 40 frames can be decoded" in reasons["test/fear/002.avi"]
    assert reasons["test/fear/003.mp4"] == "it is no MP4, MOV, AVI or WebM"
    assert len(reasons) == 2


def test_a_video_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture):
        count_frames(tmp_path / "gone.mp4")
    with pytest.raises(UnreadablePicture):
        read_video(tmp_path / "gone.mp4", [0])


def test_more_frames_than_there_are_cannot_be_read(tmp_path: Path) -> None:
    save_video(tmp_path / "clip.mp4", numbered(5))
    with pytest.raises(UnreadablePicture, match="after 5 frames"):
        read_video(tmp_path / "clip.mp4", [5])


def test_damaged_videos_are_frames_or_unreadable(tmp_path: Path) -> None:
    save_video(tmp_path / "sound.mp4", numbered(8))
    sound = (tmp_path / "sound.mp4").read_bytes()
    outcomes = {"frames": 0, "unreadable": 0}
    for seed in range(150):
        draws = np.random.Generator(np.random.Philox(seed))
        damaged = bytearray(sound)
        for place in draws.integers(len(sound), size=1 + seed % 6):
            damaged[place] = draws.integers(256)
        if seed % 3 == 0:
            del damaged[int(draws.integers(len(damaged))) :]
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(damaged)
        try:
            shown = read_video(path, range(count_frames(path)))
        except UnreadablePicture:
            outcomes["unreadable"] += 1
        else:
            assert shown.shape[1:] == (48, 64, 3) and shown.dtype == np.uint8
            outcomes["frames"] += 1
    assert min(outcomes.values()) > 10, outcomes
