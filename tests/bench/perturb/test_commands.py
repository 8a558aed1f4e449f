"""`bench perturb`: presets are listed, drawn, and written as data sets that can be read again."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_refused
from PIL import Image
from support import write_pictures

from bench.data.on_disk import open_layout
from bench.data.readers import LAYOUTS, make_like
from bench.data.readers.folder import Folder
from bench.perturb import CONTINUOUS, CORRUPTIONS, PRESETS, Preset
from bench.perturb import export as exporting

SMALL = Preset(
    "small", 1, "two for tests",
    {name: CORRUPTIONS[name] for name in ("shot_noise", "face.head_crop")},
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "small", SMALL)


@pytest.mark.parametrize("width", [60, 120])
def test_the_list_has_every_corruption_and_fits(bench, monkeypatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, text = bench("perturb", "list")
    assert code == 0
    assert all(len(line) <= width or len(line.split()) == 1 for line in text.splitlines())
    for preset in PRESETS.values():
        assert f"\n{preset.name}: " in f"\n{text}"
        for name in (*preset.corruptions, *preset.sequences):
            assert f"\n  {name}: " in text
    assert all(f"\n  {name}: " in text for name in CONTINUOUS)
    assert "amount 1.5, 2, 2.5, 2.5, 3; decay" in " ".join(text.split())


def test_the_list_as_json_has_all_constants(document) -> None:
    code, content = document("perturb", "list")
    assert code == 0
    found = {preset["name"]: preset for preset in content["presets"]}
    assert set(found) == set(PRESETS)
    assert {len(found[name]["corruptions"]) for name in ("imagecorruptions",)} == {19}
    assert len(found["raf_db_c"]["corruptions"]) == 18 and found["raf_db_c"]["version"] == 1
    for preset in found.values():
        assert all(len(corruption["levels"]) == 5 for corruption in preset["corruptions"])
    levels = {one["name"]: one["levels"] for one in content["levels"]}
    assert set(levels) == set(CONTINUOUS) and levels["gaussian_noise_snr"][0] == "30 dB"


def test_a_file_is_drawn_with_the_pixels_of_a_run(bench, tmp_path: Path) -> None:
    write_pictures(tmp_path / "one", ("happy",), 1, size=128)  # 128 x 136: shown at 120 x 128
    picture = tmp_path / "one" / "happy" / "000.png"
    Image.open(picture).crop((0, 0, 128, 128)).save(picture)
    code, text = bench("perturb", "show", picture, "--preset", "small", "--out", tmp_path / "s.png")
    assert code == 0 and "wrote" in text
    page = np.asarray(Image.open(tmp_path / "s.png"))
    changed = CORRUPTIONS["face.head_crop"](
        np.asarray(Image.open(picture)), 5, seed=0, dataset="files", sample_id="000.png"
    )
    bottom_right = page[-130:-2, -130:-2]
    np.testing.assert_array_equal(bottom_right, changed)


def test_a_data_set_is_drawn(document, tmp_path: Path) -> None:
    out = tmp_path / "page.png"
    code, content = document("perturb", "show", "faces", "--preset", "small", "--out", out)
    assert code == 0 and content["sheet"] == str(out)
    with Image.open(out) as page:
        assert page.size[0] > 6 * 128


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def test_an_export_is_a_data_set_that_reads_back(
    bench, document, picture_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    call = ("perturb", "export", "--data", picture_folder, "--preset", "small", "--out", out)
    code, content = document(*call)
    assert code == 0 and content["pictures"] == content["written"] == 20 + 10 * 11
    source = open_layout(Folder(root=picture_folder))
    found = rows(out)
    assert list(found[0]) == list(exporting.COLUMNS)
    tests = [row for row in found if row["split"] == "test"]
    assert len(tests) == 10 * 11 and len(found) == len(tests) + 20
    for row in tests:
        sample = next(s for s in source.samples("test") if s.id == row["source"])
        expected = source.picture(sample)
        if row["severity"] != "0":
            expected = CORRUPTIONS[row["corruption"]](
                expected, int(row["severity"]), seed=0, dataset=source.name, sample_id=sample.id
            )
        np.testing.assert_array_equal(np.asarray(Image.open(out / row["path"])), expected)
        assert row["label"] == sample.label
    again = open_layout(LAYOUTS["manifest"](root=out))
    assert set(again.classes) == set(source.classes)
    assert len(again.samples("test")) == len(tests)
    assert len(again.samples("train")) == len(source.samples("train"))


def test_an_export_goes_on_where_it_was_stopped(
    bench, document, picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write, times = tmp_path / "out", exporting._write, []

    def stopped(*arguments):  # type: ignore[no-untyped-def]
        times.append(1)
        if len(times) == 6:
            raise OSError(28, "no space left", str(out))
        return write(*arguments)

    call = ("perturb", "export", "--data", picture_folder, "--preset", "small", "--out", out)
    monkeypatch.setattr(exporting, "_write", stopped)
    code, _ = bench(*call, "--test-only")
    assert code == 1 and not (out / "manifest.csv").exists()
    monkeypatch.setattr(exporting, "_write", write)
    code, content = document(*call, "--test-only")
    assert code == 0 and 0 < content["written"] == 110 - 5 * 10
    whole = {row["path"]: (out / row["path"]).read_bytes() for row in rows(out)}
    shutil.rmtree(out)
    document(*call, "--test-only")
    assert whole == {row["path"]: (out / row["path"]).read_bytes() for row in rows(out)}
    assert {row["split"] for row in rows(out)} == {"test"}


def test_another_export_or_a_foreign_folder_is_refused(
    bench, picture_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    call = ("perturb", "export", "--data", picture_folder, "--preset", "small", "--out")
    assert bench(*call, out, "--limit", 2)[0] == 0
    assert_refused(bench(*call, out, "--limit", 2, "--seed", 1), "another export", "--out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    assert_refused(bench(*call, tmp_path / "full"), "is not empty", "--out")


def test_gated_data_needs_its_agreement_and_says_that_terms_hold(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "raf", tmp_path / "out"
    make_like("raf_db", root, 2)
    monkeypatch.setattr("bench.data.readers.base.Listing.drawn", lambda self, root: False)
    call = ("perturb", "export", "--data", "raf_db", "--root", root, "--preset", "small")
    assert_refused(bench(*call, "--out", out, "--limit", 2), "--i-hold-the-agreement")
    assert not out.exists()
    monkeypatch.setenv("EMODC_BENCH_AGREEMENTS", "raf_db")
    code, text = bench(*call, "--out", out, "--limit", 2)
    assert code == 0 and "terms of the data set hold for these copies" in text
    assert "terms" in (out / "export.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "faces", "--preset", "imagecorruption"), ("imagecorruptions",)),
        (("show", "nowhere.png"), ("data set or folder",)),
        (("export", "--data", "faces", "--preset", "fase", "--out", "x"), ("face",)),
        (("show", "faces", "--preset", "sequences"), ("preset of corruptions",)),
    ],
)
def test_wrong_calls_are_sentences(bench, arguments, words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(bench("perturb", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_picture_is_refused(bench, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    out = tmp_path / "s.png"
    assert_refused(bench("perturb", "show", tmp_path / "x.png", "--out", out), "x.png")
    assert not out.exists()
