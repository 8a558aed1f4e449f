"""A table of one's own: columns, splits, boxes, paths, numbers for labels."""

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from fuzzing import survives

from bench.data.images import Box
from bench.data.on_disk import open_layout
from bench.data.on_disk.verify import verify, write_manifest
from bench.data.readers import PictureFile
from bench.data.readers.manifest import ManifestLayout, parse_rows
from bench.data.tables import parse_table
from bench.util.errors import UserError
from bench.util.progress import Reporter

SAMPLE = "path,label,split,id,person,left,top,width,height,sex\n" + "".join(
    f"p/{n}.png,{('happy', 'sad')[n % 2]},{('train', 'Test')[n % 2]},i{n},a{n},1,2,30,40.0,f\n"
    for n in range(10)
)

Rows = list[dict[str, str]]


@pytest.fixture
def table(own: Callable[[str], Path]) -> Path:
    """The table of a tree that a test may change."""
    return own("manifest") / "manifest.csv"


def rows_of(table: Path) -> Rows:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def write(table: Path, rows: Rows) -> None:
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def without(rows: Rows, *columns: str) -> Rows:
    return [{k: v for k, v in row.items() if k not in columns} for row in rows]


def opened(root: Path, **options: object) -> ManifestLayout:
    return ManifestLayout.model_validate({"root": root, **options})


def facts(layout: ManifestLayout) -> dict[str, tuple[str, str, str]]:
    return {e.id: (e.label, e.split, e.person) for e in layout.listing().entries}


def test_rows_are_samples_in_natural_order(table: Path) -> None:
    entries = opened(table).listing().entries
    assert [entry.id for entry in entries] == [f"pictures/{n}.png" for n in range(84)]
    assert (entries[1].label, entries[1].split, entries[1].person) == (
        "happiness",
        "train",
        "train 0",
    )


def test_the_file_or_its_folder_can_be_named(table: Path, tmp_path: Path) -> None:
    by_folder = opened(table.parent)
    assert facts(by_folder) == facts(opened(table))
    assert [by_folder.name, opened(table).name] == ["manifest", "manifest"]
    other = table.rename(table.with_name("lab_faces.csv"))
    assert opened(other).name == "lab_faces"
    assert open_layout(opened(other)).synthetic
    assert facts(opened(table.parent)) == facts(by_folder)  # the only table there
    shutil.copy(other, table.with_name("b.tsv"))
    with pytest.raises(UserError, match=r"has b\.tsv and lab_faces\.csv"):
        opened(table.parent).listing()
    with pytest.raises(UserError, match=r"manifest\.\{csv,tsv,parquet\}"):
        opened(table.parent / "pictures").listing()
    with pytest.raises(UserError, match="another kind of file"):
        opened(table.parent / "pictures" / "0.png").listing()


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_formats_say_the_same(suffix: str, table: Path) -> None:
    before = facts(opened(table))
    frame = pd.DataFrame(rows_of(table))
    path = table.with_suffix(suffix)
    frame.to_csv(path, sep="\t", index=False) if suffix == ".tsv" else frame.to_parquet(path)
    with pytest.raises(UserError, match=f"manifest.csv and manifest{suffix}"):
        opened(table.parent).listing()
    table.unlink()
    assert facts(opened(table.parent)) == before


def test_parquet_of_numbers_categories_and_gaps(table: Path) -> None:
    frame = pd.DataFrame(rows_of(table))
    frame["left"] = [1.0, None] * 42
    frame["top"] = frame["width"] = frame["height"] = [20.0, None] * 42
    frame["split"] = frame["split"].astype("category")
    frame["label"] = pd.Series([n % 7 for n in range(84)], dtype="Int64")
    frame.to_parquet(table.with_suffix(".parquet"))
    listing = opened(table.with_suffix(".parquet"), class_order="fer2013").listing()
    first, second = listing.entries[:2]
    assert isinstance(first.source, PictureFile) and isinstance(second.source, PictureFile)
    assert first.source.box == Box(1, 20, 20, 20)
    assert first.id == "pictures/0.png#1,20,20,20"
    assert second.source.box is None
    assert [first.label, second.label] == ["anger", "disgust"]


def test_a_damaged_parquet_file_is_told(table: Path) -> None:
    path = table.with_suffix(".parquet")
    path.write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(UserError, match=r"manifest\.parquet: cannot be read as a table"):
        opened(path).listing()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\r\n", "\n"),
        lambda text: text.rstrip() + "\n\n\n",
        lambda text: text.rstrip(),
        lambda text: text.replace("pictures/", "./pictures//"),
        lambda text: text.replace("pictures/", "pictures\\"),
        lambda text: text.replace(".png", ".PNG"),
        lambda text: text.replace("train,", "Training,").replace("val,", "valid,"),
    ],
    ids=["mark", "lf", "blank", "no_newline", "dots", "backslash", "upper_case", "spellings"],
)
def test_other_ways_to_write_it_give_the_same(change: Callable[[str], str], table: Path) -> None:
    before = [(e.label, e.split, e.source) for e in opened(table).listing().entries]
    table.write_bytes(change(table.read_bytes().decode()).encode())
    assert [(e.label, e.split, e.source) for e in opened(table).listing().entries] == before


def test_columns_may_be_called_otherwise(table: Path) -> None:
    before = facts(opened(table))
    text = table.read_text()
    table.write_text(text.replace("path,label,split,person", "file,emotion,fold,subject", 1))
    names = {"path": "file", "label": "emotion", "split": "fold", "person": "subject"}
    assert facts(opened(table, columns=names)) == before
    with pytest.raises(UserError, match=r"no column 'path' among 'file'.*columns: \{path"):
        opened(table).listing()
    with pytest.raises(UserError, match=r"no column 'sub', which columns: \{person"):
        opened(table, columns=names | {"person": "sub"}).listing()


def test_without_a_header_the_columns_are_missed(table: Path) -> None:
    table.write_text(table.read_text().partition("\n")[2])
    with pytest.raises(UserError, match="no column 'path'"):
        opened(table).listing()


def test_named_columns_are_groups_in_natural_order(table: Path) -> None:
    rows = rows_of(table)
    for place, row in enumerate(rows):
        row["age"] = ("5 years", "10 years", "")[place % 3]
    write(table, rows)
    dataset = open_layout(opened(table, groups=["age", "skin tone"]))
    assert dataset.group_values == {"age": ("5 years", "10 years"), "skin tone": ("dark", "light")}
    found = {sample.id: dataset.groups(sample) for sample in dataset.samples("train")}
    assert found["pictures/1.png"]["age"] == "10 years"
    assert "age" not in found["pictures/2.png"]
    with pytest.raises(UserError, match="no column 'sex', which the option groups names"):
        opened(table, groups=["sex"]).listing()


def test_without_splits_a_fifth_of_persons_is_for_test(table: Path) -> None:
    write(table, without(rows_of(table), "split"))
    layout = opened(table)
    assert layout.protocol == "20 % for test, by person"
    sides: dict[str, set[str]] = {}
    for _, split, person in facts(layout).values():
        sides.setdefault(person, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())
    assert sum(found == {"test"} for found in sides.values()) == 3  # of 12


def test_without_persons_a_fifth_of_each_class_is_for_test(table: Path) -> None:
    write(table, without(rows_of(table), "split", "person"))
    layout = opened(table)
    assert layout.protocol == "20 % for test, by file content"
    found = [label for label, split, _ in facts(layout).values() if split == "test"]
    assert {found.count(label) for label in found} == {2}  # of 12
    assert len(found) == 14


def test_faces_of_one_picture_fall_on_one_side(table: Path) -> None:
    rows = without(rows_of(table), "split", "person")
    boxed = [
        row | {"label": label, "left": left, "top": "0", "width": "30", "height": "64"}
        for row in rows
        for label, left in ((row["label"], "0"), ("other", "32"))
    ]
    write(table, boxed)
    splits: dict[str, set[str]] = {}
    for name, (_, split, _) in facts(opened(table)).items():
        splits.setdefault(name.partition("#")[0], set()).add(split)
    assert {len(found) for found in splits.values()} == {1}
    assert {"test"} in splits.values() and {"train"} in splits.values()


def test_rows_without_split_label_or_picture_are_told(table: Path) -> None:
    rows = rows_of(table)
    rows[0]["split"], rows[1]["label"], rows[2]["path"] = "", "", "pictures/none.png"
    write(table, rows)
    listing = opened(table).listing()
    assert listing.left_out == {"no split given": 1}
    assert listing.unlabelled == ("pictures/1.png",)
    assert [found.path for found in listing.missing] == ["pictures/none.png"]
    assert len(listing.entries) == 81


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("path", "", "line 4: expected a value in the column of path"),
        ("person", "", "line 4: expected a value in the column of person"),
        ("split", "later", "line 4: expected a split, train, val or test, found 'later'.$"),
        ("split", "tset", "line 4: expected a split, .*found 'tset'. Did you mean test"),
        ("path", "pictures/0.png", "line 4: expected an id, or else a path, that did not"),
    ],
)
def test_a_wrong_field_is_told_with_its_line(
    column: str, value: str, message: str, table: Path
) -> None:
    rows = rows_of(table)
    rows[2][column] = value
    write(table, rows)
    with pytest.raises(UserError, match=message):
        opened(table).listing()


@pytest.mark.parametrize("column", ["label", "sex"])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[31mred", "a" * 101])
def test_what_tables_cannot_show_is_told_with_its_line(
    column: str, value: str, table: Path
) -> None:
    rows = [row | {"sex": "female"} for row in rows_of(table)]
    rows[2][column] = value
    write(table, rows)
    with pytest.raises(UserError, match=rf"line \d+: .* printable characters in .* '{column}'"):
        opened(table, groups=("sex",)).listing()
    rows[2][column] = "a" * 100
    write(table, [row | {"a\nb": "1"} for row in rows])
    assert opened(table, groups=("sex",)).listing()
    with pytest.raises(UserError, match="a column of groups has a name of up to 100 printable"):
        opened(table, groups=("a\nb",)).listing()


def test_half_a_box_and_a_box_of_words_are_refused(table: Path) -> None:
    rows = rows_of(table)
    write(table, [row | {"left": "1", "top": "2"} for row in rows])
    with pytest.raises(UserError, match="there is only left and top"):
        opened(table).listing()
    box = {"left": "1", "top": "2", "width": "nan", "height": "4"}
    write(table, [row | box for row in rows])
    with pytest.raises(UserError, match="line 2: expected left, top"):
        opened(table).listing()


def test_the_size_of_a_picture_is_no_box(table: Path) -> None:
    rows = rows_of(table)
    write(table, [row | {"width": "64", "height": "64"} for row in rows])
    sources = [entry.source for entry in opened(table).listing().entries]
    assert {source.box for source in sources if isinstance(source, PictureFile)} == {None}
    with pytest.raises(UserError, match="there is only width and height"):
        opened(table, columns={"width": "width"}).listing()


def test_what_verify_writes_can_be_read(table: Path) -> None:
    found = verify(opened(table), Reporter(quiet=True))
    copy = table.with_name("copy.csv")
    write_manifest(found.manifest, copy)
    again = verify(opened(copy), Reporter(quiet=True))
    assert again.manifest.digest == found.manifest.digest


def number_labels(table: Path, first: int) -> dict[str, str]:
    """Replace labels by numbers in order of their first use; the names by id."""
    rows = rows_of(table)
    names = list(dict.fromkeys(row["label"] for row in rows))
    before = {row["path"]: row["label"] for row in rows}
    write(table, [row | {"label": str(names.index(row["label"]) + first)} for row in rows])
    return before


def labels_of(layout: ManifestLayout) -> Mapping[str, str]:
    return {entry.id: entry.label for entry in layout.listing().entries}


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_are_refused_until_their_meaning_is_said(first: int, table: Path) -> None:
    names = list(dict.fromkeys(row["label"] for row in rows_of(table)))
    before = number_labels(table, first)
    with pytest.raises(UserError, match="class_order"):
        opened(table).listing()
    assert labels_of(opened(table, class_order=names)) == before
    other = labels_of(opened(table, class_order="fer2013"))
    assert other["pictures/0.png"] == "anger"
    with pytest.raises(UserError, match="no class order called 'fer2031'"):
        opened(table, class_order="fer2031").listing()


def test_numbers_with_a_point_are_numbers(table: Path) -> None:
    number_labels(table, 0)
    write(table, [row | {"label": row["label"] + ".0"} for row in rows_of(table)])
    with pytest.raises(UserError, match="class_order"):
        opened(table).listing()
    assert labels_of(opened(table, class_order="fer2013"))["pictures/1.png"] == "disgust"


def test_the_base_of_numbers_can_be_said(table: Path) -> None:
    rows = rows_of(table)
    write(table, [row | {"label": str(1 + place % 2)} for place, row in enumerate(rows)])
    with pytest.raises(UserError, match="label_base"):
        opened(table, class_order="fer2013").listing()
    known = labels_of(opened(table, class_order="fer2013", label_base=1))
    assert [known["pictures/0.png"], known["pictures/1.png"]] == ["anger", "disgust"]


def test_unknown_labels_stay_as_they_are(table: Path) -> None:
    rows = rows_of(table)
    write(table, [row | {"label": row["label"].replace("fear", "awe")} for row in rows])
    assert opened(table).listing().classes[-1] == "awe"


def test_pictures_may_be_in_another_folder(table: Path, tmp_path: Path) -> None:
    before = facts(opened(table))
    elsewhere = tmp_path / "elsewhere" / "faces.csv"
    elsewhere.parent.mkdir()
    table.rename(elsewhere)
    with pytest.raises(UserError, match=r"can be used. pictures/0\.png: named by the table"):
        opened(elsewhere).listing()
    assert facts(opened(elsewhere, pictures=table.parent)) == before


@pytest.mark.parametrize("absolute", [True, False])
def test_paths_that_leave_the_folder_are_refused(
    absolute: bool, table: Path, tmp_path: Path
) -> None:
    shutil.move(table.parent / "pictures" / "0.png", tmp_path / "outside.png")
    rows = rows_of(table)
    rows[0]["path"] = str(tmp_path / "outside.png") if absolute else "../outside.png"
    write(table, rows)
    listing = opened(table).listing()
    assert [found.path for found in listing.refused] == [rows[0]["path"]]
    assert len(listing.entries) == 83
    followed = opened(table, follow_links=True).listing()
    outside = next(entry for entry in followed.entries if entry.id == rows[0]["path"])
    assert outside.source.decode(followed.base, outside.source.content(followed.base)).shape == (
        64,
        64,
        3,
    )


def test_a_link_that_leaves_the_folder_is_refused(table: Path, tmp_path: Path) -> None:
    picture = table.parent / "pictures" / "0.png"
    shutil.move(picture, tmp_path / "outside.png")
    picture.symlink_to(tmp_path / "outside.png")
    assert [found.path for found in opened(table).listing().refused] == ["pictures/0.png"]
    assert len(opened(table, follow_links=True).listing().entries) == 84


def test_a_nested_folder_is_found(table: Path, tmp_path: Path) -> None:
    nested = tmp_path / "a" / "b" / "c"
    nested.parent.mkdir(parents=True)
    table.parent.rename(nested)
    assert opened(tmp_path / "a").listing().base == nested


def test_only_line_ends_end_a_line() -> None:
    table = parse_table('path,label\ra\u2028b\x0bc,"happy\nsad"\r\nd,fear', "the table")
    assert table.columns == {"path": ["a\u2028b\x0bc", "d"], "label": ["happy\nsad", "fear"]}
    assert list(table.numbers) == [3, 4]


def test_tables_survive_fuzzing() -> None:
    survives(lambda text, origin: parse_rows(parse_table(text, origin), {}, ["sex"]), SAMPLE)
