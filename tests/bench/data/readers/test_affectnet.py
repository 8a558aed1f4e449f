"""AffectNet as first given out: lists, face boxes, ids; what only carries its name."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import survives
from PIL import Image

from bench.data.images import Box
from bench.data.on_disk import open_layout
from bench.data.readers import Layout
from bench.data.readers.affectnet import AffectNet, AffectNet8Labels, parse_list
from bench.labels import BASIC
from bench.util.errors import UserError

HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    "facial_landmarks,expression,valence,arousal\n"
)
SAMPLE = "".join(f"{n}/a{n}b.jpg,{n},2,30,40,1.5;2.5;3.5,{n},0.1,-0.2\n" for n in range(11))


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("affectnet")


def lists(root: Path) -> list[Path]:
    folder = root / "Manually_Annotated_file_lists"
    return [folder / "training.csv", folder / "validation.csv"]


def labels(root: Path, **options: object) -> dict[str, str]:
    entries = AffectNet.model_validate({"root": root, **options}).listing().entries
    return {entry.id: entry.label for entry in entries}


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the fields of every row but the header."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    changed = [row if row[0].startswith("sub") else change(row) for row in rows]
    path.write_text("".join(",".join(row) + "\n" for row in changed))


def test_rows_with_an_expression_are_samples_and_validation_is_test(
    written: Callable[[str], Path],
) -> None:
    listing = AffectNet(root=written("affectnet")).listing()
    counts = Counter((entry.split, entry.label) for entry in listing.entries)
    assert counts == {(s, c): n for s, n in (("train", 6), ("test", 3)) for c in listing.classes}
    assert listing.classes == (*BASIC, "contempt")
    assert listing.left_out == {f"labelled {n}": 9 for n in ("None", "Uncertain", "No-Face")}
    assert not listing.missing and not listing.unlabelled
    suffixes = {Path(entry.id).suffix for entry in listing.entries}
    assert {".JPG", ".jpeg", ".PNG", ".bmp", ".tif"} <= suffixes


def test_seven_classes_leave_contempt_out_and_have_another_name(
    written: Callable[[str], Path],
) -> None:
    seven, eight = (AffectNet(root=written("affectnet"), classes=n) for n in (7, 8))
    assert (seven.name, eight.name) == ("affectnet_7", "affectnet_8")
    listing = seven.listing()
    assert listing.classes == BASIC
    assert listing.left_out["contempt, no part of the 7 classes"] == 9
    kept = {e.id: e.label for e in eight.listing().entries if e.label != "contempt"}
    assert {e.id: e.label for e in listing.entries} == kept


def test_ids_are_in_affectnets_order() -> None:
    rows = parse_list(SAMPLE, "list")
    names = AffectNet(root=Path()).label_names({row.expression for row in rows}, LABELS, "list")
    assert [names[row.expression] for row in rows] == list(LABELS)


LABELS = (
    *("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"),
    *("None", "Uncertain", "No-Face"),
)


@pytest.mark.parametrize(("classes", "train", "test"), [(8, 287_651, 4_000), (7, 283_901, 3_500)])
def test_published_counts_add_up(classes: int, train: int, test: int) -> None:
    counts = AffectNet.model_validate({"root": Path(), "classes": classes}).published()
    assert [sum(counts[split].values()) for split in ("train", "test")] == [train, test]
    assert counts["train"]["anger"] == 24_882 and counts["train"]["disgust"] == 3_803


def test_pictures_are_cropped_to_the_face(root: Path) -> None:
    dataset = open_layout(AffectNet(root=root))
    sample = dataset.samples("test")[0]
    assert dataset.size(sample) == (100, 100)
    rows = parse_list(lists(root)[1].read_text(), "list")
    row = next(face for face in rows if face.path == sample.id)
    assert row.box is not None
    whole = np.asarray(Image.open(root / "Manually_Annotated_Images" / sample.id).convert("RGB"))
    left, top = row.box.left, row.box.top
    assert np.array_equal(dataset.picture(sample), whole[top : top + 100, left : left + 100])


def test_lists_with_and_without_header_are_the_same() -> None:
    assert parse_list(HEADER + SAMPLE, "list") == parse_list(SAMPLE, "list")
    assert len(parse_list(SAMPLE, "list")) == 11
    row = parse_list("5/x.JPG,1,2,3,4,0;0,6,0,0", "list")[0]
    assert row == ("5/x.JPG", 6, Box(left=1, top=2, width=3, height=4))


@pytest.mark.parametrize("header", [True, False])
def test_neither_list_needs_its_header(root: Path, header: bool) -> None:
    before = labels(root)
    for path in lists(root):
        body = path.read_text().removeprefix(HEADER)
        path.write_text(HEADER + body if header else body)
    assert labels(root) == before


def test_columns_are_found_by_the_header(root: Path) -> None:
    before = labels(root)
    path = lists(root)[0]
    rows = path.read_text().splitlines()  # as pandas writes them, with the number of the row
    path.write_text("\n".join(f"{n},{row}" if n else f",{row}" for n, row in enumerate(rows)))
    assert labels(root) == before
    path.write_text(HEADER.replace("face_width", "width") + SAMPLE)
    with pytest.raises(UserError, match=r"training\.csv, line 1: .*face_width"):
        labels(root)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("/", "\\"),
    ],
    ids=["no final newline", "blank lines", "CRLF", "byte order mark", "backslashes"],
)
def test_ends_marks_and_slashes_do_not_matter(root: Path, change: Callable[[str], str]) -> None:
    before = labels(root)
    for path in lists(root):
        path.write_bytes(change(path.read_text()).encode())
    assert labels(root) == before


def test_a_copy_that_counts_from_1_is_detected(root: Path) -> None:
    before = labels(root)
    for path in lists(root):
        rewrite(path, lambda row: [*row[:6], str(int(row[6]) + 1), *row[7:]])
    assert labels(root) == before


def test_ids_that_could_count_from_0_or_1_are_refused_until_said(root: Path) -> None:
    for path in lists(root):
        rewrite(path, lambda row: [*row[:6], "5", *row[7:]])
    with pytest.raises(UserError, match="label_base"):
        labels(root)
    assert set(labels(root, label_base=0).values()) == {"disgust"}
    assert set(labels(root, label_base=1).values()) == {"fear"}


def test_a_missing_picture_and_one_without_a_label_are_told(root: Path) -> None:
    pictures = root / "Manually_Annotated_Images"
    first = AffectNet(root=root).listing().entries[0].id
    (pictures / first).rename(pictures / "1" / "stray.jpg")
    listing = AffectNet(root=root).listing()
    assert [found.path for found in listing.missing] == [f"Manually_Annotated_Images/{first}"]
    assert listing.unlabelled == ("Manually_Annotated_Images/1/stray.jpg",)
    assert first not in {entry.id for entry in listing.entries}


def test_faces_without_a_box_are_told_and_only_where_one_is_needed(root: Path) -> None:
    path = lists(root)[1]
    rewrite(path, lambda row: [row[0], *["NULL"] * 4, *row[5:]] if row[6] in ("0", "10") else row)
    listing = AffectNet(root=root).listing()
    assert {found.reason for found in listing.missing} == {"its list gives no box of the face"}
    assert len(listing.missing) == 3  # the neutral ones
    assert listing.left_out["labelled No-Face"] == 9


def test_two_faces_of_a_picture_are_two_samples(root: Path) -> None:
    path = lists(root)[0]
    row = path.read_text().splitlines()[1].split(",")
    path.write_text(path.read_text() + ",".join([row[0], "0", "0", "50", "60", *row[5:]]))
    dataset = open_layout(AffectNet(root=root))
    sizes = {s.id: dataset.size(s) for n in ("train", "val") for s in dataset.samples(n)}
    assert sizes[row[0]] == (100, 100) and sizes[f"{row[0]}#2"] == (60, 50)


def test_suffixes_in_another_case_than_listed_are_found(root: Path) -> None:
    before = labels(root)
    for path in lists(root):
        path.write_text(path.read_text().replace(".jpg,", ".Jpg,"))
    assert list(labels(root).values()) == list(before.values())


def test_entries_are_in_natural_order(root: Path) -> None:
    folders = [int(name.split("/")[0]) for name in labels(root)]
    assert folders == sorted(folders)
    pictures = root / "Manually_Annotated_Images"
    (pictures / "1").rename(pictures / "10")
    for path in lists(root):
        rewrite(path, lambda row: [row[0].replace("1/", "10/"), *row[1:]])
    folders = [int(name.split("/")[0]) for name in labels(root)]
    assert folders == sorted(folders) and folders[-1] == 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../x.jpg,1,2,3,4,0,0,0,0", "line 1: expected a path below"),
        ("/etc/x.jpg,1,2,3,4,0,0,0,0", "line 1: expected a path below"),
        ("1/x.jpg,1,2,3", "line 1: expected 7 fields"),
        ("1/x.jpg,1,2,3,x,0,0,0,0", "line 1: expected a face box"),
        ("1/x.jpg,1,2,,4,0,0,0,0", "line 1: expected a face box"),
        ("1/x.jpg,1,2,3,4,0,happy,0,0", "line 1: expected an expression"),
        ("", "the list is empty"),
    ],
)
def test_wrong_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_list(line, "the-file")


def test_an_expression_out_of_range_is_refused(root: Path) -> None:
    path = lists(root)[1]
    path.write_text(path.read_text().replace(",10,-2", ",12,-2"))
    with pytest.raises(UserError, match="12 is out of range"):
        labels(root)


@pytest.mark.parametrize("nesting", ["outer/inner", "Manually_Annotated"])
def test_nested_folders_are_found(root: Path, tmp_path: Path, nesting: str) -> None:
    before = labels(root)
    target = tmp_path / "new" / nesting
    target.mkdir(parents=True)
    (root / "Manually_Annotated_Images").rename(target / "Manually_Annotated_Images")
    beside = target if nesting != "Manually_Annotated" else target.parent
    lists(root)[0].parent.rename(beside / "Manually_Annotated_file_lists")
    assert labels(tmp_path / "new") == before
    inner = beside / "Manually_Annotated_file_lists"
    inner.rename(beside / "kept")
    (beside / "kept").rename(_made(inner) / "Manually_Annotated_file_lists")
    images = target / "Manually_Annotated_Images"
    images.rename(target / "kept")
    (target / "kept").rename(_made(images) / "Manually_Annotated_Images")
    assert labels(tmp_path / "new") == before


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_missing_list_is_named(root: Path) -> None:
    lists(root)[1].unlink()
    with pytest.raises(UserError, match=r"no validation\.csv in"):
        labels(root)


def test_links_that_leave_the_folder_are_refused(root: Path) -> None:
    pictures, outside = root / "Manually_Annotated_Images", root.parent / "outside"
    (pictures / "2").rename(outside)
    (pictures / "2").symlink_to(outside)
    listing = AffectNet(root=root).listing()
    assert [found.path for found in listing.refused] == ["Manually_Annotated_Images/2"]
    assert not any(entry.id.startswith("2/") for entry in listing.entries)
    assert any(name.startswith("2/") for name in labels(root, follow_links=True))
    pictures.rename(outside / "all")
    pictures.symlink_to(outside / "all")
    with pytest.raises(UserError, match="a link that leaves the data folder"):
        labels(root)


@pytest.mark.parametrize("layout", [AffectNet, AffectNet8Labels])
@pytest.mark.parametrize("other", ["", "archive", "archive/Train", "YOLO_format/train"])
def test_other_data_under_the_same_name_are_refused(
    layout: type[Layout], other: str, tmp_path: Path
) -> None:
    for name in ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"):
        picture = tmp_path / other / name / "image0000001.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"")
    (tmp_path / "labels.csv").write_text(",pth,label,relFCs\n")
    with pytest.raises(UserError, match=r"no release of AffectNet\..*they are other data"):
        layout(root=tmp_path).listing()


@pytest.mark.parametrize(
    ("layout", "kind"), [(AffectNet, "affectnet_8labels"), (AffectNet8Labels, "affectnet")]
)
def test_the_other_release_is_named(
    layout: type[Layout], kind: str, written: Callable[[str], Path]
) -> None:
    with pytest.raises(UserError, match=f"take the layout {kind}"):
        layout(root=written(kind)).listing()


def test_a_file_that_is_no_text_is_refused(root: Path) -> None:
    shutil.copy(next((root / "Manually_Annotated_Images").rglob("*.jpg")), lists(root)[0])
    with pytest.raises(UserError, match=r"training\.csv: is not a text file"):
        labels(root)


def test_lists_survive_fuzzing() -> None:
    survives(parse_list, HEADER + SAMPLE)
