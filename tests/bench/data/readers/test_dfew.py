"""DFEW: split files and their re-hosts, frames, folds."""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.clips import Frames, VideoFile
from bench.data.readers.dfew import ORDER, Dfew, parse_split
from bench.util.errors import UserError

SAMPLE = "video_name,label\n" + "".join(f"{n},{n % 7 + 1}\n" for n in range(1, 13))
SPLITS = ("train", "test")


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("dfew")


def label_file(root: Path, split: str, fold: int = 1) -> Path:
    return root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv"


def labels(root: Path, **options: object) -> dict[str, tuple[str, str]]:
    listing = Dfew.model_validate({"root": root, **options}).listing()
    assert not listing.missing
    return {entry.id: (entry.split, entry.label) for entry in listing.entries}


def test_labels_count_from_1_in_the_order_of_the_owners(written: Callable[[str], Path]) -> None:
    listing = Dfew(root=written("dfew")).listing()
    first = {entry.id: entry.label for entry in listing.entries}
    names = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    assert [first[f"{number:05d}"] for number in range(1, 8)] == list(names)
    assert listing.unlabelled == ("00064",)  # which has no single label


def test_tests_of_the_folds_part_the_clips(written: Callable[[str], Path]) -> None:
    seen: list[str] = []
    for fold in range(1, 6):
        found = labels(written("dfew"), fold=fold)
        seen += [name for name, (split, _) in found.items() if split == "test"]
        assert len(found) == 63
    assert len(seen) == len(set(seen)) == 63


def test_published_counts_add_up() -> None:
    counts = [Dfew(root=Path(), fold=fold).published() for fold in range(1, 6)]
    sizes = [[sum(count[split].values()) for split in SPLITS] for count in counts]
    assert sizes == [[9356, 2341], [9356, 2341], [9357, 2340], [9358, 2339], [9361, 2336]]
    assert sum(test for _, test in sizes) == 11697
    first = counts[0]
    assert first["train"]["disgust"] + first["test"]["disgust"] == 145
    assert list(counts[1]["train"]) == [""]


def test_folds_and_frames_have_names_of_their_own() -> None:
    layouts = [Dfew(root=Path(), fold=fold) for fold in range(1, 6)]
    layouts += [Dfew(root=Path(), frames="clip_224x224_16f"), Dfew(root=Path(), frames="original")]
    assert layouts[0].name == "dfew_fold1"
    assert len({layout.name for layout in layouts}) == 7


def test_a_re_host_from_0_with_the_official_header_is_detected(root: Path) -> None:
    before = labels(root)
    for split in SPLITS:
        official = label_file(root, split)
        rows = [row.split(",") for row in official.read_text().splitlines()[1:]]
        text = "".join(f"{int(name):05d},{int(label) - 1}\n" for name, label in rows)
        official.unlink()
        official.with_name(f"{split}_set_1.csv").write_text("video_name,label\n" + text)
    assert labels(root) == before


def test_labels_that_could_start_at_0_or_1_are_refused_until_said(root: Path) -> None:
    for split in SPLITS:
        rows = [row.split(",")[0] for row in label_file(root, split).read_text().splitlines()[1:]]
        label_file(root, split).write_text("\n".join(f"{name},3" for name in rows))
    with pytest.raises(UserError, match="label_base"):
        labels(root)
    assert {label for _, label in labels(root, label_base=1).values()} == {"neutral"}
    assert {label for _, label in labels(root, label_base=0).values()} == {"anger"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("annotation/DFEW_set_1_{}.txt", "/data/DFEW/DFEW_Frame_Face/{:05d} 144 {}"),
        ("annotation/set_1_{}.txt", "D:\\My Data\\DFEW\\train\\{:05d} 48 {}"),
        ("saved/data/dfew/org/split01/{}.csv", "/my data/DFEW/Clip/jpg_256/{:05d} {}"),
        ("splits/emotion/DFEW/DFEW_set_1_{}.txt", "{:05d} 24 {}"),
    ],
    ids=["absolute paths", "of Windows", "without frames", "numbers alone"],
)
def test_lists_of_re_hosts_are_read(root: Path, name: str, line: str) -> None:
    before = labels(root)
    for split in SPLITS:
        rows = [row.split(",") for row in label_file(root, split).read_text().splitlines()[1:]]
        label_file(root, split).unlink()
        target = root / name.format(split)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = [line.format(int(number), int(label) - 1) for number, label in rows]
        target.write_text("\n".join(text) + "\n")
    assert labels(root) == before


def test_train_and_test_are_never_of_two_hosts(root: Path) -> None:
    label_file(root, "test").rename(root / "DFEW_set_1_test.txt")
    with pytest.raises(UserError, match=r"set_1.csv has no list of the test split .* named alike"):
        labels(root)
    rows = (root / "DFEW_set_1_test.txt").read_text().splitlines()[1:]
    zero = [f"{number},{int(label) - 1}" for number, label in (row.split(",") for row in rows)]
    label_file(root, "test").write_text("\n".join(zero))
    with pytest.raises(UserError, match=r"test.*set_1.csv: one counts its labels from 0"):
        labels(root)


def test_a_complete_list_whose_ids_have_another_order_is_refused(root: Path) -> None:
    published = Dfew(root=root).published()
    for order in (ORDER, sorted(ORDER)):
        numbers = count(1)
        for split in SPLITS:
            sizes = published[split]
            rows = [
                f"{next(numbers)},{order.index(name)}" for name in ORDER for _ in range(sizes[name])
            ]
            label_file(root, split).write_text("\n".join(rows))
        if order is ORDER:
            assert len(Dfew(root=root).listing().entries) == 64  # of 11,697: no other clip is there
    with pytest.raises(UserError, match="sizes in another order"):
        labels(root)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.removeprefix("video_name,label\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    ],
    ids=["no header", "no final newline", "blank lines", "BOM and CRLF"],
)
def test_label_files_may_look_different(root: Path, change: Callable[[str], str]) -> None:
    before = labels(root)
    for split in SPLITS:
        path = label_file(root, split)
        path.write_bytes(change(path.read_text()).encode())
    assert labels(root) == before


@pytest.mark.parametrize(
    "name", ["EmoLabel_DataSplit/{}(single_labeled)/set_1.csv", "label/single_{}set_1.csv"]
)
def test_label_files_have_other_names_in_the_readme_and_in_code(root: Path, name: str) -> None:
    before = labels(root)
    for split in SPLITS:
        target = root / name.format(split)
        target.parent.mkdir(parents=True, exist_ok=True)
        label_file(root, split).rename(target)
    assert labels(root) == before


def test_frames_of_16_are_in_the_order_of_their_numbers(written: Callable[[str], Path]) -> None:
    listing = Dfew(root=written("dfew"), frames="clip_224x224_16f").listing()
    source = listing.entries[0].source
    assert isinstance(source, Frames)
    assert source.names == [f"{number}.jpg" for number in range(1, 17)]
    assert source.path == "00001/9.jpg"


def test_original_videos_have_as_many_frames(written: Callable[[str], Path]) -> None:
    videos = Dfew(root=written("dfew"), frames="original").listing()
    frames = Dfew(root=written("dfew")).listing()
    assert len(videos.entries) == len(frames.entries)
    for video, folder in list(zip(videos.entries, frames.entries, strict=True))[:5]:
        assert isinstance(video.source, VideoFile) and isinstance(folder.source, Frames)
        assert video.id == folder.id
        assert video.source.frame_count(videos.base) == folder.source.frame_count(frames.base)


def test_other_names_and_double_folders_are_found(root: Path, tmp_path: Path) -> None:
    before = labels(root)
    clips = root / "Clip" / "clip_224x224"
    clips.rename(root / "Clip" / "inner")
    (root / "Clip" / "jpg_256").mkdir()
    (root / "Clip" / "inner").rename(root / "Clip" / "jpg_256" / "jpg_256")
    (tmp_path / "above").mkdir()
    root.rename(tmp_path / "above" / "DFEW")
    assert labels(tmp_path / "above") == before


def test_missing_and_empty_clips_are_told(root: Path) -> None:
    clips = root / "Clip" / "clip_224x224"
    shutil.rmtree(clips / "00002")
    for frame in (clips / "00005").iterdir():
        frame.rename(frame.with_suffix(".txt"))
    for frame in (clips / "00003").iterdir():
        frame.rename(frame.with_suffix(".JPG"))
    listing = Dfew(root=root).listing()
    assert {found.path for found in listing.missing} == {"00002", "00005"}
    assert "00003" in {entry.id for entry in listing.entries}
    assert open_layout(Dfew(root=root)).skipped == listing.missing


def test_links_that_leave_the_root_are_refused_until_allowed(root: Path, tmp_path: Path) -> None:
    clips = root / "Clip" / "clip_224x224"
    (clips / "00007").rename(tmp_path / "elsewhere")
    (clips / "00007").symlink_to(tmp_path / "elsewhere")
    frame = sorted((clips / "00008").iterdir())[0]
    frame.rename(tmp_path / "frame.jpg")
    frame.symlink_to(tmp_path / "frame.jpg")
    listing = Dfew(root=root).listing()
    assert {found.path for found in listing.refused} == {"00007", f"00008/{frame.name}"}
    assert not listing.missing  # what was refused is told once
    allowed = Dfew(root=root, follow_links=True).listing()
    assert not allowed.missing and not allowed.refused


def test_a_folder_of_clips_elsewhere_is_refused_until_allowed(root: Path, tmp_path: Path) -> None:
    clips = root / "Clip" / "clip_224x224"
    clips.rename(tmp_path / "elsewhere")
    clips.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="behind a link that leaves the data folder"):
        open_layout(Dfew(root=root))
    assert not open_layout(Dfew(root=root, follow_links=True)).skipped


def test_a_clip_on_both_sides_is_refused(root: Path) -> None:
    test = label_file(root, "test").read_text().splitlines()
    with label_file(root, "train").open("a") as file:
        file.write(test[1] + "\n")
    with pytest.raises(UserError, match="in train and in test"):
        labels(root)


def test_a_folder_without_frames_says_what_was_expected(root: Path) -> None:
    shutil.rmtree(root / "Clip")
    with pytest.raises(UserError, match="clip_224x224"):
        labels(root)


@pytest.mark.parametrize("line", ["0,16,5", "16", "16,", "clips/16/ 5", "16 5 happy", "16 -1x"])
def test_lines_that_are_no_clip_and_label_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="the-file, line 2: expected a clip's number and its label"):
        parse_split(f"15,1\n{line}\n", "the-file")


def test_label_files_survive_fuzzing() -> None:
    survives(parse_split, SAMPLE)
