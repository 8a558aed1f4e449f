"""Folders and tables as people have them: read as they are meant, or refused in one sentence."""

import csv
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.data.on_disk import FilesDataSet, open_layout
from bench.data.on_disk.verify import verify
from bench.data.readers import LAYOUTS
from bench.labels import BASIC
from bench.util.errors import UserError
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)
COUNTS = {"train": 35, "val": 7, "test": 21}  # of the trees that are written, 3 a class
Change = Callable[[Path], None]


def opened(kind: str, root: Path, **options: object) -> FilesDataSet:
    return open_layout(LAYOUTS[kind].model_validate({"kind": kind, "root": root, **options}))


def counts(dataset: FilesDataSet) -> dict[str, int]:
    return {split: len(dataset.samples(split)) for split in ("train", "val", "test")}


def renamed(**names: str) -> Change:
    """Another name for splits."""

    def change(root: Path) -> None:
        for old, new in names.items():
            (root / old).rename(root / f"{new}.")  # on systems that do not know case apart
            (root / f"{new}.").rename(root / new)

    return change


def classes_renamed(names: dict[str, str]) -> Change:
    def change(root: Path) -> None:
        for split in ("train", "test"):
            for old, new in names.items():
                (root / split / old).rename(root / split / new)

    return change


def nested(root: Path) -> None:
    """`train/train/<class>`, as archives leave it."""
    for split in ("train", "test"):
        (root / split).rename(root / "x")
        (root / split).mkdir()
        (root / "x").rename(root / split / split)


def one_deeper(root: Path) -> None:
    for split in ("train", "test"):
        (root / split).rename(root / "x")
        (root / split).mkdir()
        (root / "x").rename(root / split / "images")


def in_batches(root: Path) -> None:
    """`train/part1/<class>`, `train/part2/<class>`."""
    for split in ("train", "test"):
        for number, label in enumerate(BASIC):
            for path in sorted((root / split / label).iterdir()):
                part = root / split / f"part{(number + int(path.stem)) % 2}" / label
                part.mkdir(parents=True, exist_ok=True)
                path.rename(part / path.name)
            (root / split / label).rmdir()


def wrapped(root: Path) -> None:
    """`faces/data/train`, with other things beside."""
    (root / "faces" / "data").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "docs" / "readme.txt").write_text("about")
    for split in ("train", "test"):
        (root / split).rename(root / "faces" / "data" / split)


def littered(root: Path) -> None:
    (root / "__MACOSX" / "train" / "anger").mkdir(parents=True)
    (root / "__MACOSX" / "train" / "anger" / "._000.png").write_bytes(b"x")
    for name in ("Thumbs.db", "thumbs.db", ".DS_Store", "desktop.ini", "._000.png"):
        (root / "train" / "anger" / name).write_bytes(b"x")
    (root / "train.csv").write_text("path,label\n")  # of class folders it says nothing new


def from_windows(root: Path) -> None:
    """As `unzip` on Linux leaves archives that were made with backslashes."""
    for split in ("train", "test"):
        for path in sorted((root / split).rglob("*.png")):
            path.rename(root / f"{split}\\{path.parent.name}\\{path.name}")
        shutil.rmtree(root / split)


def from_windows_deeper(root: Path) -> None:
    from_windows(root)
    for path in list(root.glob("*.png")):
        path.rename(root / f"faces\\data\\{path.name}")


def by_person(root: Path) -> None:
    """`train/anger/p1/0.png`, in all classes."""
    for path in list(root.rglob("*.png")):
        person = path.parent / f"p{int(path.stem) % 2}"
        person.mkdir(exist_ok=True)
        path.rename(person / path.name)


def linked(root: Path) -> None:
    (root / "train").rename(root / ".train")
    (root / "train").symlink_to(root / ".train")


def suffixes(*names: str) -> Change:
    """Files of other formats, and with other suffixes than their content."""

    def change(root: Path) -> None:
        for path in (root / "train" / "fear").iterdir():
            for name in names:
                Image.open(path).convert("RGB").save(path.with_suffix(name), lossless=True)
            path.unlink()

    return change


@pytest.mark.parametrize(
    "change",
    [
        renamed(train="Train", test="Test"),
        renamed(train="TRAINING", test="Testing"),
        renamed(train="Training", test="PrivateTest"),
        renamed(train="Train Data", test="TestData"),
        renamed(train="train_images", test="test_images"),
        renamed(train="1_training", test="2-testing"),
        nested,
        one_deeper,
        in_batches,
        wrapped,
        littered,
        from_windows,
        from_windows_deeper,
        by_person,
        linked,
        suffixes(".gif"),
        suffixes(".jfif"),
        suffixes(".JPE"),
        classes_renamed({"anger": "Angry", "happiness": "happy", "sadness": "SAD "}),
    ],
)
def test_a_folder_is_read_as_it_is_meant(own: Callable[[str], Path], change: Change) -> None:
    root = own("folder")
    change(root)
    dataset = opened("folder", root)
    assert dataset.classes == BASIC and counts(dataset) == COUNTS
    assert not dataset.skipped
    layout = LAYOUTS["folder"].model_validate({"kind": "folder", "root": root})
    found = verify(layout, QUIET)
    assert [finding for finding in found.findings if finding.level == "warning"] == []


def test_a_validation_split_alone_is_what_is_tested_on(own: Callable[[str], Path]) -> None:
    root = own("folder")
    (root / "test").rename(root / "validation")
    dataset = opened("folder", root)
    assert counts(dataset) == COUNTS
    assert "validation pictures as test" in dataset.protocol


FOREIGN = {
    "anger": unicodedata.normalize("NFD", "colère"),
    "happiness": "Freude",
    "neutral": "中性",
    "sadness": "Traurigkeit",
    "fear": "peur",
    "disgust": "dégoût",
    "surprise": "惊讶",
}


def test_class_folders_of_another_language_have_a_map(own: Callable[[str], Path]) -> None:
    root = own("folder")
    classes_renamed(FOREIGN)(root)
    names = {unicodedata.normalize("NFC", word): name for name, word in FOREIGN.items()}
    assert opened("folder", root, class_names=names).classes == BASIC
    assert "colère" in opened("folder", root).classes  # without one they are their own, in NFC
    with pytest.raises(UserError, match=r"class_names has 'colere'.*Did you mean colère"):
        opened("folder", root, class_names={"colere": "anger"})


def test_numeric_class_folders_need_an_order(own: Callable[[str], Path]) -> None:
    root = own("folder")
    order = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    classes_renamed({name: str(place) for place, name in enumerate(order)})(root)
    with pytest.raises(UserError, match=r"train/\d: the label \d is a number.*class_order"):
        opened("folder", root)
    before = {s.id: s.label for s in opened("folder", root, class_order="fer2013").samples("test")}
    assert before["test/3/000.png"] == "happiness"
    names = dict(enumerate(order))
    assert opened("folder", root, class_names=names).samples("test")[0].label == "anger"


def test_two_spellings_of_a_class_are_merged_and_it_is_said(
    own: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = own("folder")
    (root / "train" / "happy").mkdir()
    for path in list((root / "train" / "happiness").iterdir())[:2]:
        path.rename(root / "train" / "happy" / path.name)
    from bench.data.open import open_dataset

    layout = LAYOUTS["folder"].model_validate({"kind": "folder", "root": root})
    assert open_dataset(layout, 0, Reporter()).classes == BASIC
    assert "'happiness' and 'happy' are merged into the class happiness" in capsys.readouterr().err
    assert "reading" in [finding.kind for finding in verify(layout, QUIET).findings]


def heic(root: Path) -> None:
    for path in list((root / "train" / "fear").iterdir()):
        path.rename(path.with_suffix(".heic"))


def emptied(root: Path) -> None:
    for path in list((root / "test" / "fear").iterdir()):
        path.unlink()


def zero_bytes(root: Path) -> None:
    for path in (root / "test" / "fear").iterdir():
        path.write_bytes(b"")


def linked_outside(root: Path) -> None:
    shutil.move(root / "train" / "fear", root.parent / "elsewhere")
    (root / "train" / "fear").symlink_to(root.parent / "elsewhere")


def in_subfolders(root: Path) -> None:
    for path in list((root / "train" / "fear").iterdir()):
        (path.parent / "person").mkdir(exist_ok=True)
        path.rename(path.parent / "person" / path.name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (heic, r"fear in train .*\.heic is no suffix of pictures"),
        (emptied, r"fear in test .*a folder without files"),
        (zero_bytes, r"fear in test .*test/fear/000\.png"),
        (linked_outside, r"fear in train"),
        (in_subfolders, r"fear in train .*in a folder inside that of a class"),
    ],
)
def test_a_class_that_loses_all_its_pictures_is_named(
    own: Callable[[str], Path], change: Change, words: str
) -> None:
    root = own("folder")
    change(root)
    with pytest.raises(UserError, match=words) as raised:
        opened("folder", root)
    assert "lost_classes: drop" in str(raised.value)
    layout = LAYOUTS["folder"].model_validate({"kind": "folder", "root": root})
    [finding] = [found for found in verify(layout, QUIET).findings if found.kind == "run"]
    assert "fear in" in finding.text
    dropped = opened("folder", root, lost_classes="drop")
    trained = "train" not in words
    assert ("fear" in dropped.classes) == trained
    assert all(sample.label in dropped.classes for sample in dropped.samples("test"))


def splits_in_classes(root: Path) -> None:
    for split in ("train", "test"):
        for folder in list((root / split).iterdir()):
            (root / folder.name).mkdir(exist_ok=True)
            folder.rename(root / folder.name / split)
        (root / split).rmdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (classes_renamed({"happiness": "hapiness"}), "'hapiness'. Did you mean happiness?"),
        (classes_renamed({"happiness": "0_happy"}), "Did you mean happy?"),
        (lambda root: shutil.copytree(root / "train", root / "Training"), "Training and train"),
        (lambda root: shutil.copytree(root, root / "x" / "y"), ""),
        (lambda root: shutil.rmtree(root / "test"), "no pictures of the test split"),
        (lambda root: (root / "test").rename(root / "other"), "no pictures of the test split"),
        (splits_in_classes, "inside those of classes, as anger/test. Move them above"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was_found(
    own: Callable[[str], Path], change: Change, words: str
) -> None:
    root = own("folder")
    if not words:
        assert counts(opened("folder", root)) == COUNTS
        return
    change(root)
    with pytest.raises(UserError) as raised:
        opened("folder", root)
    assert words in str(raised.value)


def test_what_a_reader_should_know_of_a_folder_is_a_note(own: Callable[[str], Path]) -> None:
    root = own("folder")
    shutil.rmtree(root / "test" / "fear")
    assert opened("folder", root).notes == ("test has no pictures of fear",)
    renamed(train="fold1", test="fold2")(root)
    (note,) = opened("folder", root).notes
    assert "folders above those of classes (fold1, fold2) are read as one" in note


@pytest.mark.parametrize("name", ["README", "notes.txt", "a.heic", "b.mp4"])
def test_files_of_a_class_folder_that_are_not_read_are_listed(
    own: Callable[[str], Path], name: str
) -> None:
    root = own("folder")
    (root / "train" / "anger" / name).write_bytes(b"x")
    [skipped] = opened("folder", root).skipped
    assert skipped.path == f"train/anger/{name}" and "suffix" in skipped.reason


def test_an_empty_file_says_so(own: Callable[[str], Path]) -> None:
    root = own("folder")
    (root / "train" / "anger" / "000.png").write_bytes(b"")
    assert [file.reason for file in opened("folder", root).skipped] == ["the file is empty"]


# ------------------------------------------------------------------------------------------------
# Tables.


@pytest.fixture
def table(own: Callable[[str], Path]) -> Path:
    return own("manifest") / "manifest.csv"


def rewritten(
    table: Path, change: Callable[[dict[str, str]], None], delimiter: str = ",", **more: str
) -> None:
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with table.open("w", newline="", **more) as file:  # type: ignore[call-overload]
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def same(row: dict[str, str]) -> None:
    pass


def backslashes(row: dict[str, str]) -> None:
    row["path"] = row["path"].replace("/", "\\")


def spelt(row: dict[str, str]) -> None:
    row["split"] = {"train": "Training", "val": "Validation", "test": "TESTING"}[row["split"]]


def capitals(row: dict[str, str]) -> None:
    for name in ("path", "label", "split"):
        row[name.title()] = row.pop(name)


TABLE_COUNTS = {"train": 42, "val": 21, "test": 21}


@pytest.mark.parametrize(
    ("change", "delimiter", "encoding"),
    [
        (same, ";", "utf-8"),
        (same, "\t", "utf-8"),
        (same, "|", "utf-8"),
        (same, ";", "utf-8-sig"),
        (backslashes, ",", "utf-8"),
        (spelt, ",", "utf-8-sig"),
        (capitals, ",", "utf-8"),
    ],
)
def test_tables_of_other_programs_are_read(
    table: Path, change: Callable[[dict[str, str]], None], delimiter: str, encoding: str
) -> None:
    rewritten(table, change, delimiter, encoding=encoding)
    dataset = opened("manifest", table)
    assert dataset.classes == BASIC and counts(dataset) == TABLE_COUNTS


def test_a_line_that_names_the_separator_is_none_of_the_table(table: Path) -> None:
    rewritten(table, same, ";")
    table.write_text(f"sep=;\n{table.read_text()}")
    assert counts(opened("manifest", table)) == TABLE_COUNTS


def test_absolute_paths_are_read_here_and_told_from_elsewhere(table: Path) -> None:
    rewritten(table, lambda row: row.update(path=f"{table.parent}/{row['path']}"))
    assert counts(opened("manifest", table)) == TABLE_COUNTS
    for there in ("/data/of/somebody", "D:\\faces"):
        rewritten(table, lambda row: row.update(path=f"{there}/{row['path'][-10:]}"))  # noqa: B023
        with pytest.raises(UserError, match="a path from the root of a disk"):
            opened("manifest", table)


@pytest.mark.parametrize(("table_form", "disk_form"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_another_unicode_form_are_found(
    table: Path, table_form: str, disk_form: str
) -> None:
    old = table.parent / "pictures"
    old.rename(table.parent / unicodedata.normalize(disk_form, "colère"))  # type: ignore[arg-type]
    name = unicodedata.normalize(table_form, "colère")  # type: ignore[arg-type]
    rewritten(table, lambda row: row.update(path=row["path"].replace("pictures", name)))
    assert counts(opened("manifest", table)) == TABLE_COUNTS


def test_a_named_file_is_there_whatever_its_suffix(table: Path) -> None:
    picture = table.parent / "pictures" / "0.png"
    picture.rename(picture.with_suffix(".data"))
    (table.parent / "pictures" / "1.png").write_bytes(b"no picture")
    rewritten(table, lambda row: row.update(path=row["path"].replace("/0.png", "/0.data")))
    dataset = opened("manifest", table)
    assert [(file.path, "no JPEG" in file.reason) for file in dataset.skipped] == [
        ("pictures/1.png", True)
    ]


def test_a_table_of_a_class_whose_pictures_are_not_there(table: Path) -> None:
    rewritten(
        table, lambda row: row.update(path=row["path"] + ("x" if row["label"] == "fear" else ""))
    )
    with pytest.raises(UserError, match=r"fear in train .*not there.*fear in test.*lost_classes"):
        opened("manifest", table)
    assert "fear" not in opened("manifest", table, lost_classes="drop").classes


def test_labels_beside_a_folder_of_pictures(table: Path) -> None:
    table.rename(table.with_name("labels.csv"))
    with pytest.raises(UserError, match=r"manifest --root .*labels\.csv -o pictures=.*pictures"):
        opened("folder", table.parent)
    assert counts(opened("manifest", table.parent)) == TABLE_COUNTS
    rewritten(
        table.with_name("labels.csv"), lambda row: row.update(path=row["path"].split("/")[-1])
    )
    with pytest.raises(UserError, match=r"Found: .*pictures/.*option pictures: DIR"):
        opened("manifest", table.parent)
    inner = table.parent / "pictures"
    assert counts(opened("manifest", table.parent, pictures=inner)) == TABLE_COUNTS


def test_columns_by_other_names_are_suggested(table: Path) -> None:
    text = table.read_text().replace("path,label", "image,emotion", 1)
    table.write_text(text)
    with pytest.raises(UserError, match=r"columns: \{path: image\}"):
        opened("manifest", table)


@pytest.mark.parametrize("name", ["usage", "set", "Partition"])
def test_a_split_under_another_name_is_not_drawn_anew(table: Path, name: str) -> None:
    table.write_text(table.read_text().replace("split", name, 1))
    with pytest.raises(UserError, match=rf"columns: \{{split: {name}\}}"):
        opened("manifest", table)
    assert counts(opened("manifest", table, columns={"split": name})) == TABLE_COUNTS


def test_a_table_is_read_from_a_text_file_that_is_named(table: Path) -> None:
    text = table.rename(table.with_name("labels.txt"))
    assert counts(opened("manifest", text)) == TABLE_COUNTS
    for name in ("labels.xlsx", "labels.txt"):
        other = text.rename(text.with_name(name))
        with pytest.raises(UserError, match=rf"{name} has the labels, save it as CSV"):
            opened("folder", table.parent)
        text = other
    with pytest.raises(UserError, match="another kind of file: save it as CSV"):
        opened("manifest", text.rename(text.with_name("labels.xlsx")))


def test_a_manifest_without_a_test_split_is_no_clean_bill(table: Path) -> None:
    rewritten(table, lambda row: row.update(split="train"))
    layout = LAYOUTS["manifest"].model_validate({"kind": "manifest", "root": table})
    with pytest.raises(UserError, match="no pictures of the test split"):
        open_layout(layout)
    found = verify(layout, QUIET)
    assert found.warnings and "no pictures of the test split" in found.findings[0].text


@pytest.mark.parametrize("kind", ["folder", "manifest", "clip_folder", "raf_db", "sfew"])
def test_a_test_split_that_is_gone_is_a_warning_of_verify(
    own: Callable[[str], Path], kind: str
) -> None:
    layout = LAYOUTS[kind].model_validate({"kind": kind, "root": own(kind)})
    listing = layout.listing()
    for entry in listing.entries:
        if entry.split == "test":
            path = listing.base / entry.source.path
            shutil.rmtree(path.parent) if kind == "clip_folder" else path.unlink()
            path.parent.mkdir(exist_ok=True)
    with pytest.raises(UserError) as refused:
        open_layout(layout)
    try:
        told = "".join(finding.text for finding in verify(layout, QUIET).findings)
    except UserError as error:
        told = str(error)
    assert str(refused.value).rstrip(".") in told


@pytest.mark.parametrize("names", [{"train": "Train", "test": "Testing"}, {"test": "TEST"}])
def test_clips_have_the_same_spellings(own: Callable[[str], Path], names: dict[str, str]) -> None:
    root = own("clip_folder")
    renamed(**names)(root)
    assert counts(opened("clip_folder", root)) == COUNTS
    (root / names.get("train", "train") / "anger").rename(
        root / names.get("train", "train") / "angr"
    )
    with pytest.raises(UserError, match="Did you mean"):
        opened("clip_folder", root)


def test_very_large_pictures_are_refused_before_they_are_decoded(
    own: Callable[[str], Path],
) -> None:
    """An 11,300 x 11,300 picture of 1 bit a pixel has 50 kB, and filled 14.6 GB in a run."""
    root = own("folder")
    Image.new("1", (11_300, 11_300)).save(root / "train" / "anger" / "large.png")
    [skipped] = opened("folder", root).skipped
    assert "127,690,000 pixels" in skipped.reason and "smaller" in skipped.reason
    assert (root / "train" / "anger" / "large.png").stat().st_size < 100_000
