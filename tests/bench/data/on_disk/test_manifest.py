"""Manifests: what is written is read, and what differs is named."""

from hashlib import sha256
from pathlib import Path

import fuzzing
import pytest

from bench.data.on_disk.verify import (
    COLUMNS,
    Row,
    SampleManifest,
    compare,
    label_digests,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from bench.util.errors import UserError

A, B = "a" * 64, "b" * 64


def manifest(*rows: Row) -> SampleManifest:
    return SampleManifest({row[0]: row for row in rows})


ONE: Row = ("1", 'folder, with "comma"/1.jpg', "anger", "train", A, "10", "12")
TWO: Row = ("2", "2.jpg", "fear", "test", "", "0", "0")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_manifest(manifest(ONE, TWO), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == manifest(ONE, TWO)


def test_differences_are_named() -> None:
    moved = ("1", "elsewhere.jpg", "fear", "val", B, "10", "12")
    found = compare(manifest(moved, TWO, ("4", *TWO[1:])), manifest(ONE, TWO, ("3", *TWO[1:])))
    assert found.changed == {"1": ("picture", "label", "split")}
    assert (found.gone, found.new) == (("3",), ("4",))


def test_the_digest_is_about_content_and_not_order_or_place() -> None:
    digest = manifest(ONE, TWO).digest
    assert manifest(TWO, ("1", "elsewhere.jpg", *ONE[2:])).digest == digest
    for place in (0, 2, 3, 4):
        other = [*ONE]
        other[place] = "x"
        assert manifest(tuple(other), TWO).digest != digest  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected the header"),
        ("path,label\n", "line 1: expected the header id,path"),
        (",".join(COLUMNS) + "\n", "is empty"),
        (",".join(COLUMNS) + "\n1,2\n", "line 2: expected 7 fields"),
        (",".join(COLUMNS) + f"\n1,p,l,s,{A[1:]},1,1\n", "line 2: expected 7 fields"),
        (",".join(COLUMNS) + f"\n1,p,l,s,{A},1,1\n1,p,l,s,{A},1,1\n", "line 3: expected an id"),
    ],
)
def test_other_files_are_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=f"m.csv, {words}|m.csv: the manifest {words}"):
        parse_manifest(text, "m.csv")


def test_fuzzed_manifests_are_data_or_a_clear_error() -> None:
    rows = [",".join(COLUMNS), *(f"{n},{n}.jpg,anger,train,{A},10,12" for n in range(4))]
    fuzzing.survives(parse_manifest, "\n".join(rows) + "\n")


def test_many_folders_of_label_files_have_one_digest(tmp_path: Path) -> None:
    for number in range(21):
        (tmp_path / "labels" / f"{number}").mkdir(parents=True)
        (tmp_path / "labels" / f"{number}" / "1.txt").write_text(f"{number % 2}")
    [(path, digest)] = label_digests(tmp_path).items()
    assert path == "labels/"
    (tmp_path / "labels" / "0").rename(tmp_path / "labels" / "99")  # same names and contents
    assert label_digests(tmp_path)["labels/"] != digest


def test_label_files_beside_the_base_have_digests(tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "train.txt").write_text("x")
    found = label_digests(tmp_path / "clips", [tmp_path / "split" / "train.txt"])
    assert found == {"../split/train.txt": sha256(b"x").hexdigest()}


def test_label_files_have_digests(tmp_path: Path) -> None:
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel" / "list.txt").write_text("x 1\n")
    (tmp_path / "picture.jpg").write_bytes(b"")
    (tmp_path / "many").mkdir()
    for number in range(21):
        (tmp_path / "many" / f"{number}.txt").write_text("1")
    before = label_digests(tmp_path)
    assert set(before) == {"EmoLabel/list.txt", "many/"}
    assert before["EmoLabel/list.txt"] == sha256(b"x 1\n").hexdigest()
    (tmp_path / "many" / "7.txt").write_text("2")
    after = label_digests(tmp_path)
    assert after["many/"] != before["many/"]
    assert after["EmoLabel/list.txt"] == before["EmoLabel/list.txt"]
