"""Data sets on the command line: listed, shown, made up, named by flags."""

from pathlib import Path

import pytest
from command_line import assert_refused, call_apart
from PIL import Image
from support import TINY, write_pictures

from bench.cli.target import chosen_data, data_section
from bench.data.config import FacesData
from bench.data.readers import LAYOUTS, make_like
from bench.data.readers.folder import Folder
from bench.data.readers.raf_db import RafDb


@pytest.fixture(scope="module")
def raf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RAF-DB of drawn faces, two test pictures of each class."""
    root = tmp_path_factory.mktemp("trees") / "raf"
    make_like("raf_db", root, 2)
    return root


@pytest.mark.parametrize("width", [60, 120])
def test_the_list_fits_the_terminal(bench, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, text = bench("data", "list")
    assert code == 0
    for line in text.splitlines():
        assert len(line) <= width or len(line.split()) == 1
        assert not line.endswith(" ")
    entries = {line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    assert entries >= {"faces", "clips", *LAYOUTS}
    assert "-o pictures=aligned|aligned_224|original" in text
    assert "agreement: non-commercial" in text
    # What goes on in another line is indented deeper than where it began.
    started = text.index("raf_db: ")
    options = text[started : text.index("agreement", started)].splitlines()[1:]
    assert {len(line) - len(line.lstrip()) for line in options} <= {2, 6}
    assert any(line.startswith(6 * " ") for line in options) == (width == 60)


def test_the_list_as_json_has_values_defaults_and_meanings(document) -> None:
    code, content = document("data", "list")
    assert code == 0
    found = {entry["name"]: entry for entry in content["datasets"]}
    assert set(found) == {"faces", "clips", *LAYOUTS}
    raf_db = found["raf_db"]
    assert raf_db["title"] == "RAF-DB basic" and raf_db["clips"] is False
    assert "list_patition_label.txt" in raf_db["layout"]
    assert "institutional" in raf_db["agreement"]
    assert found["folder"]["agreement"] is None and found["faces"]["layout"] is None
    options = {option["name"]: option for option in raf_db["options"]}
    assert options["pictures"]["values"] == "aligned|aligned_224|original"
    assert options["pictures"]["default"] == "aligned"
    assert options["label_base"] == {
        "name": "label_base",
        "values": "0|1",
        "default": None,
        "description": "First number of the labels, where it cannot be told",
    }
    train = next(option for option in found["faces"]["options"] if option["name"] == "train")
    assert (train["values"], train["default"]) == ("14..", 7000)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_sheet_of_a_tree_has_a_row_per_class(
    document, raf: Path, tmp_path: Path, split: str
) -> None:
    sheet = tmp_path / "sheet.png"
    show = ("data", "show", "raf_db", "--root", raf, "--out", sheet, "--split", split)
    code, content = document(*show, "--columns", 1)
    assert (code, content) == (0, {"dataset": "raf_db", "sheet": str(sheet)})
    with Image.open(sheet) as image:
        assert image.height == 7 * 130 + 2  # pictures of 64 px, twice as large, and gaps
        assert 128 < image.width < 300
        one = image.width
    assert document(*show, "--columns", 2)[0] == 0
    with Image.open(sheet) as image:
        assert image.width == one + (0 if split == "val" else 130)  # val has one of each


def test_a_sheet_of_a_plain_folder(bench, picture_folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert bench("data", "show", picture_folder, "--out", sheet, "--columns", 3)[0] == 0
    with Image.open(sheet) as image:
        assert image.height == 2 * 130 + 2


def test_show_refuses_what_does_not_exist(bench, raf: Path, tmp_path: Path) -> None:
    show = ("data", "show", "raf_db", "--root", raf, "--out", tmp_path / "sheet.png")
    assert_refused(bench(*show, "--split", "tests"), "--split", "'train'", "'test'")
    assert_refused(bench(*show, "--columns", 0), "--columns")
    assert_refused(bench(*show, "-o", "pictures=cropped"), "pictures", "aligned", "'cropped'")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    outcome = bench(*show[:-1], blocked / "sheet.png", "--columns", 1)
    assert_refused(outcome, str(blocked), "--out", code=1)


def test_make_like_says_what_to_try_and_that_works(bench, document, tmp_path: Path) -> None:
    root = tmp_path / "my raf"
    code, text = bench("data", "make-like", "raf_db", root, "--per-class", 2, "--domain", "webcam")
    assert code == 0
    assert f"bench run robustness --data raf_db --root '{root}'" in text
    run = ("run", "robustness", "-c", TINY, "--data", "raf_db", "--root", root, "--limit", 3)
    code, plan = document(*run, "--dry-run")
    assert code == 0 and plan["cells"][0]["n"] == 3
    other = tmp_path / "other"
    code, made = document("data", "make-like", "folder", other, "--per-class", 2)
    assert (code, made["files"]) == (0, 7 * 6 + 1)
    assert sum(path.is_file() for path in other.rglob("*")) == made["files"]


def test_make_like_refuses(bench, tmp_path: Path) -> None:
    make = ("data", "make-like")
    new = tmp_path / "new"
    assert_refused(bench(*make, "raf_bd", new), "no layout called 'raf_bd'", "raf_db")
    assert_refused(bench(*make, "folder", new, "--domain", "webcm"), "Did you mean webcam?")
    assert_refused(bench(*make, "folder", new, "--per-class", 1), "--per-class")
    assert not new.exists()
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("kept")
    assert_refused(bench(*make, "folder", used), str(used), "name a new folder")
    assert_refused(bench(*make, "folder", used / "mine.txt"), "mine.txt is there already")
    assert [path.name for path in used.iterdir()] == ["mine.txt"]


@pytest.fixture(params=["run", "train"])
def start(request: pytest.FixtureRequest, bench, tmp_path: Path):
    """Start a run or a training with flags about data; it must not get as far as working."""
    command = ("run", "robustness") if request.param == "run" else ("train",)

    def called(*flags: object) -> tuple[int, str]:
        outcome = bench(*command, "-c", TINY, "--out", tmp_path / "out", *flags)
        assert not (tmp_path / "out").exists()
        return outcome

    return called


def test_wrong_names_and_folders_have_a_sentence(start, raf: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert_refused(start("--data", "raf_bd", "--root", raf), "called 'raf_bd'", "raf_db")
    assert_refused(start("--data", "raf_db"), "raf_db needs --root DIR", "list_patition_label")
    assert_refused(start("--data", "raf_db", "--root", file), str(file), "file, not a folder")
    assert_refused(start("--data", "raf_db", "--root", tmp_path / "no"), "no such folder")
    assert_refused(start("--data", "raf_db", "--root", file.parent), str(tmp_path), "found")
    assert_refused(start("--data", "faces", "--root", raf), "faces are drawn")
    assert_refused(start("--data", raf, "--root", raf), f"{raf} is a folder already")
    assert_refused(start("--data", file), f"{file} is a file")
    assert_refused(start("--data", "cross"), "write them in a config")
    assert_refused(start("--root", raf), "name it with --data")


def test_wrong_options_have_a_sentence(start, raf: Path) -> None:
    data = ("--data", "raf_db", "--root", raf)
    wrong = start(*data, "-o", "pictres=aligned")
    assert_refused(wrong, "no option of raf_db called 'pictres'", "Did you mean pictures?")
    assert_refused(start(*data, "-o", "pictures=croped"), "'aligned_224' or 'original'", "'croped'")
    assert_refused(start(*data, "-o", "label_base=2"), "label_base", "0 or 1")
    assert_refused(start(*data, "-o", "pictures"), "expected FIELD=VALUE")
    assert_refused(start(*data, "-o", "=aligned"), "expected FIELD=VALUE")
    assert_refused(start(*data, "-o", "pictures=[a"), "--option pictures=[a", "is not a value")
    assert_refused(start(*data, "-o", "root=/"), "--data and --root")
    twice = start(*data, "-o", "pictures=aligned", "-o", "pictures=original")
    assert_refused(twice, "--option pictures is given twice")
    assert_refused(start("-o", "pictures=aligned"), "name it with --data")
    assert_refused(start("--data", "faces", "-o", "train=3"), "train", "14", "got 3")


def test_flags_stand_for_a_part_of_the_config(raf: Path, picture_folder: Path) -> None:
    options = ["pictures=original", "label_base=1", "follow_links=true"]
    section = data_section("raf_db", raf, options)
    assert section == RafDb(root=raf, pictures="original", label_base=1, follow_links=True)
    assert data_section("faces", None, ["domain=webcam"]) == FacesData(domain="webcam")
    assert data_section("folder", picture_folder, None) == Folder(root=picture_folder)
    assert data_section(str(picture_folder), None, None) == Folder(root=picture_folder)
    assert chosen_data(None, None, None) is None


def test_a_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(data_section("faces", None, None), FacesData)
    assert data_section("./faces", None, None) == Folder(root=Path("faces"))


STEERS = "\x1b[2J\u202e"  # clears a screen, and turns the reading direction


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "verify", "folder", "--root", "ROOT"),
        ("data", "prepare", "folder", "--root", "ROOT"),
        ("data", "show", "folder", "--root", "ROOT", "--out", "OUT.png"),
        ("data", "make-like", "jaffe", "OUT"),
        ("data", "verify", "folder", "--root", "OUT"),
        ("run", "robustness", "-c", "CONFIG", "--out", "OUT", "--dry-run"),
        ("run", "robustness", "-c", "CONFIG", "--data", "folder", "--root", "ROOT", "--dry-run"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_names_steer_no_terminal(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    root = tmp_path / f"faces{STEERS}"
    for split in ("train", "test"):
        write_pictures(root / split, ("happy", "neutral"), 3)
        (root / split / "happy" / f"{STEERS}broken.png").write_bytes(b"no picture")
        (root / split / "happy" / f"{STEERS}notes.docx").write_bytes(b"no picture")
    config = tmp_path / "config.yaml"
    named = f"mine{STEERS}".encode("unicode_escape").decode().replace("\\x1b", "\\u001b")
    config.write_text(
        f'classifiers: {{"{named}": {{kind: baseline, architecture: test_resnet, steps: 1}}}}\n'
        "data: {kind: faces, train: 14, val: 7, test: 7}\n"
    )
    places = {"ROOT": root, "CONFIG": config, "OUT": tmp_path / f"out{STEERS}"}
    places["OUT.png"] = tmp_path / f"out{STEERS}.png"
    code, out, err = call_apart(capsys, monkeypatch, *(places.get(a, a) for a in arguments))
    assert code in (0, 1, 2) and "Traceback" not in err and "defect" not in err
    assert not {"\x1b", "\u202e"} & set(out + err)
    shown = "[U+001B]" in out + err or "\\x1b[2J" in out + err  # "prepare" names no file
    assert shown or "prepare" in arguments
