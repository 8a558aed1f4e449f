"""`bench data verify`, `prepare` and `purge` on trees with one thing wrong at a time."""

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from command_line import call_apart
from PIL import Image
from rich.console import Console
from support import write_pictures

from bench.data.base import Skipped
from bench.data.on_disk import open_layout
from bench.data.on_disk.verify import LISTED, Verification, as_json, show, verify
from bench.data.readers import Listing, make_like
from bench.data.readers.base import Counts, Entry, PictureFile
from bench.data.readers.folder import Folder
from bench.util.errors import UserError
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMODC_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run `bench data ARGUMENTS`: exit code, stdout, stderr."""
    return partial(call_apart, capsys, monkeypatch, "data")


def kinds(found: Verification) -> dict[str, str]:
    """Level of each kind of finding."""
    return {finding.kind: finding.level for finding in found.findings}


def items(found: Verification, kind: str) -> list[Mapping[str, Any]]:
    [finding] = [finding for finding in found.findings if finding.kind == kind]
    return list(finding.items)


def test_a_folder_without_fault(picture_folder: Path) -> None:
    found = verify(Folder(root=picture_folder), QUIET)
    assert found.findings == ()
    assert [(c.split, c.label, c.found, c.published) for c in found.counts] == [
        ("train", "", 20, None),
        ("train", "neutral", 10, None),
        ("train", "happiness", 10, None),
        ("test", "", 10, None),
        ("test", "neutral", 5, None),
        ("test", "happiness", 5, None),
    ]
    assert found.sizes is not None and found.sizes.smallest == found.sizes.largest == (24, 32)


def test_copies_within_and_across_and_conflicts(picture_folder: Path) -> None:
    train, test = picture_folder / "train", picture_folder / "test"
    shutil.copy(train / "happy" / "000.png", train / "happy" / "again.png")
    shutil.copy(train / "happy" / "001.png", test / "happy" / "leak.png")
    shutil.copy(train / "neutral" / "002.png", test / "happy" / "wrong.png")
    found = verify(Folder(root=picture_folder), QUIET)
    assert kinds(found) == dict.fromkeys(["copies_within", "copies_across", "conflicts"], "warning")
    [within] = items(found, "copies_within")
    assert [member["path"] for member in within["members"]] == [
        "train/happy/000.png",
        "train/happy/again.png",
    ]
    across = {
        member["path"] for group in items(found, "copies_across") for member in group["members"]
    }
    assert {"test/happy/leak.png", "test/happy/wrong.png"} < across and len(across) == 4
    [conflict] = items(found, "conflicts")
    assert {member["label"] for member in conflict["members"]} == {"neutral", "happiness"}


def test_near_copies_across_splits_are_a_warning_and_within_a_note(tmp_path: Path) -> None:
    make_like("folder", tmp_path / "f", 2)
    train, test = tmp_path / "f" / "train", tmp_path / "f" / "test"
    Image.open(train / "fear" / "000.png").save(test / "fear" / "x.jpg", quality=95)
    Image.open(train / "anger" / "001.png").resize((90, 90)).save(train / "anger" / "y.png")
    found = verify(Folder(root=tmp_path / "f"), QUIET)
    assert kinds(found) == {"near_across": "warning", "near_within": "note"}
    [across], [within] = items(found, "near_across"), items(found, "near_within")
    assert {m["path"] for m in across["members"]} == {"train/fear/000.png", "test/fear/x.jpg"}
    assert {m["path"] for m in within["members"]} == {"train/anger/001.png", "train/anger/y.png"}


def test_unreadable_tiny_plain_and_stray_pictures(picture_folder: Path) -> None:
    (picture_folder / "train" / "happy" / "000.png").write_bytes(b"nothing")
    write_pictures(picture_folder / "test", ("happy",), 1, size=8)
    Image.new("RGB", (30, 30), (9, 9, 9)).save(picture_folder / "test" / "happy" / "flat.png")
    Image.new("RGB", (30, 30), (99, 9, 9)).save(picture_folder / "test" / "happy" / "flat2.png")
    shutil.copy(picture_folder / "train" / "happy" / "001.png", picture_folder / "stray.png")
    found = verify(Folder(root=picture_folder), QUIET)
    assert kinds(found) == {
        "unreadable": "warning",
        "small": "warning",
        "plain": "note",
        "refused": "warning",
    }
    assert items(found, "unreadable")[0]["path"] == "train/happy/000.png"
    assert "no JPEG" in items(found, "unreadable")[0]["reason"]
    assert items(found, "small") == [
        {"path": "test/happy/000.png", "reason": "8 x 16 pixels"},
    ]
    assert [item["path"] for item in items(found, "refused")] == ["stray.png"]
    assert found.sizes is not None and found.sizes.smallest == (8, 16)


def test_classes_that_no_run_can_use(picture_folder: Path) -> None:
    write_pictures(picture_folder / "test", ("sad",), 2)
    write_pictures(picture_folder / "train", ("fear",), 1)
    for reason in ("test has classes that train lacks: sadness", "class 'fear' has fewer than two"):
        found = verify(Folder(root=picture_folder), QUIET)
        [told] = [finding.text for finding in found.findings if finding.kind == "run"]
        with pytest.raises(UserError, match=reason) as refused:
            open_layout(Folder(root=picture_folder))
        assert str(refused.value).rstrip(".") in told
        shutil.rmtree(picture_folder / "test" / "sad", ignore_errors=True)


def test_links_that_leave_the_folder(picture_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "outside.png")
    (picture_folder / "train" / "happy" / "link.png").symlink_to(tmp_path / "outside.png")
    assert kinds(verify(Folder(root=picture_folder), QUIET)) == {"refused": "warning"}


class Made(Folder):
    """A folder with persons, published counts, and things missing."""

    told: ClassVar[Counts] = {}

    def published(self) -> Counts:
        return self.told

    def listing(self) -> Listing:
        found = super().listing()
        entries = tuple(
            Entry(e.id, e.label, e.split, PictureFile(e.id), person=Path(e.id).stem)
            for e in found.entries
        )
        return Listing(
            found.base,
            entries,
            found.classes,
            missing=tuple(Skipped(f"{n}.png", "not there") for n in range(150)),
            left_out={"contempt": 12},
        )


def test_totals_and_sizes_against_the_published(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for total, level in ((30, "note"), (31, "warning")):
        monkeypatch.setattr(Folder, "published_total", lambda self, total=total: total)
        assert kinds(verify(Folder(root=picture_folder), QUIET)) == {"counts": level}
    monkeypatch.undo()
    monkeypatch.setattr(Folder, "published_size", lambda self: (24, 32))
    path = picture_folder / "test" / "happy" / "000.png"
    Image.open(path).resize((24, 32)).save(path)
    found = verify(Folder(root=picture_folder), QUIET)
    assert kinds(found) == {"sizes": "warning"}
    assert items(found, "sizes") == [{"path": "test/happy/000.png", "reason": "32 x 24 pixels"}]


def test_pictures_moved_between_classes_are_not_called_another_number(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Counts = {"train": {"neutral": 9, "happiness": 11}, "test": {"": 10}}
    monkeypatch.setattr(Folder, "published", lambda self: told)
    [finding] = verify(Folder(root=picture_folder), QUIET).findings
    assert finding.level == "warning" and finding.text.startswith("as many samples as published")


def test_missing_left_out_and_persons(picture_folder: Path) -> None:
    found = verify(Made(root=picture_folder), QUIET)
    assert kinds(found) == {"missing": "warning", "persons": "warning", "left_out": "note"}
    assert items(found, "persons")[0] == {"person": "000", "splits": ["test", "train"]}
    assert len(items(found, "persons")) == 5
    listed = {finding["kind"]: finding for finding in as_json(found)["findings"]}
    assert listed["missing"]["total"] == 150 and len(listed["missing"]["items"]) == LISTED


@pytest.mark.parametrize(
    ("told", "level", "differences"),
    [
        ({"train": {"happiness": 10, "neutral": 10}, "test": {"": 10}}, "note", {}),
        ({"train": {"": 21}}, "warning", {("train", ""): -1}),
        (
            {"test": {"happiness": 4, "neutral": 6, "fear": 2}},
            "warning",
            {
                ("test", ""): -2,
                ("test", "happiness"): 1,
                ("test", "neutral"): -1,
                ("test", "fear"): -2,
            },
        ),
        ({"val": {"": 3}}, "warning", {("val", ""): -3}),
    ],
)
def test_counts_against_the_published(
    picture_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Counts,
    level: str,
    differences: dict[tuple[str, str], int],
) -> None:
    monkeypatch.setattr(Made, "told", told)
    found = verify(Made(root=picture_folder), QUIET)
    assert kinds(found)["counts"] == level
    wrong = {(c.split, c.label): c.difference for c in found.counts if c.difference}
    assert wrong == differences


def test_manifests_of_two_copies(call, picture_folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(picture_folder, tmp_path / "theirs" / "faces"))
    manifest = tmp_path / "m.csv"
    assert call("verify", picture_folder, "--manifest", manifest)[0] == 0
    code, out, _ = call("verify", other, "--against", manifest, "--strict")
    assert code == 0 and "the same copy" in out
    changed = other / "test" / "happy" / "000.png"
    Image.fromarray(np.asarray(Image.open(changed)) // 2).save(changed)
    (other / "test" / "happy" / "001.png").rename(other / "test" / "happy" / "new.png")
    code, out, _ = call("verify", other, "--against", manifest, "--json")
    findings = {finding["kind"]: finding["items"] for finding in json.loads(out)["findings"]}
    assert code == 0
    assert findings == {
        "changed": [{"id": "test/happy/000.png", "differs": ["picture"]}],
        "gone": [{"id": "test/happy/001.png"}],
        "new": [{"id": "test/happy/new.png"}],
    }
    assert call("verify", other, "--against", manifest, "--strict")[0] == 2


def test_the_command_prints_lines_and_one_document(call, tmp_path: Path) -> None:
    make_like("raf_db", tmp_path / "raf", 2)
    code, out, _ = call("verify", "raf_db", "--root", tmp_path / "raf", "--strict")
    assert code == 0
    assert "train fear: 4, published 281 (-277)" in out
    assert out.endswith("No warnings.\n") and "drawn faces" in out
    code, out, _ = call("verify", "raf_db", "--root", tmp_path / "raf", "--json")
    document = json.loads(out)
    assert code == 0 and document["base"] == str(tmp_path / "raf" / "basic")
    assert len(document["label_files"]["EmoLabel/list_patition_label.txt"]) == 64
    assert document["samples"] == 42 and document["warnings"] == 0
    assert document["counts"][0] == {
        "split": "train",
        "class": None,
        "found": 28,
        "published": 12271,
        "difference": -12243,
    }


@pytest.mark.parametrize("width", [50, 200])
def test_a_terminal_gets_a_table(picture_folder: Path, width: int) -> None:
    shutil.copy(
        picture_folder / "train" / "happy" / "000.png", picture_folder / "test" / "happy" / "x.png"
    )
    console = Console(force_terminal=True, color_system=None, width=width, record=True)
    with console.capture() as printed:
        show(verify(Folder(root=picture_folder), QUIET), console)
    lines = [line.split() for line in printed.get().splitlines()]
    assert ["train", "test"] in lines
    assert ["happiness", "10", "6"] in lines and ["total", "20", "11"] in lines
    assert "test/happy/x.png (test, happiness); train/happy/000.png (train" in printed.get()
    assert printed.get().endswith("1 warning.\n")


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_pictures(tmp_path / "faces" / split, ("[red]", "[b]x["), 2)
    console = Console(force_terminal=True, color_system=None, width=120)
    with console.capture() as printed:
        show(verify(Folder(root=tmp_path / "faces"), QUIET), console)
    lines = [line.split() for line in printed.get().splitlines()]
    assert [line for line in lines if line[0].startswith("[")] == [
        ["[b]x[", "2", "2"],
        ["[red]", "2", "2"],
    ]


def test_wrong_folders_and_wrong_calls_are_sentences(call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (("verify", "raf_db", "--root", tmp_path / "empty"), "EmoLabel"),
        (("verify", "raf_db"), "needs --root"),
        (("verify", "faces"), "drawn by the bench"),
        (("prepare", "clips"), "drawn by the bench"),
        (("purge",), "--all"),
        (("purge", "faces", "--all"), "--all"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and words in err, arguments


def test_gated_sets_ask_first(call, tmp_path: Path) -> None:
    root = tmp_path / "raf"
    make_like("raf_db", root, 2)
    (root / "DRAWN_FACES.txt").unlink()
    for command in ("verify", "prepare"):
        code, _, err = call(command, "raf_db", "--root", root)
        assert code == 2 and "--i-hold-the-agreement" in err
    code, out, _ = call("verify", "raf_db", "--root", root, "--i-hold-the-agreement")
    assert code == 0 and "warning counts: " in out


def test_prepare_and_purge(call, picture_folder: Path) -> None:
    code, out, err = call("prepare", picture_folder, "--split", "test", "--split", "val")
    assert code == 0 and out.startswith("14 pictures prepared, 14 of them new: 32 kB in ")
    assert "14 pictures to prepare: 32 kB of " in err
    code, out, _ = call("prepare", picture_folder, "--json")
    document = json.loads(out)
    assert (document["pictures"], document["added"], document["unusable"]) == (30, 16, 0)
    code, out, _ = call("purge", picture_folder, "--json")
    assert code == 0 and json.loads(out)["freed"] > 30 * 24 * 32 * 3
    assert call("purge", "--all")[1] == "freed 0 bytes\n"
