"""Mistakes a person can make: a clear sentence, exit code 1 or 2, no traceback, nothing lost."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from command_line import Copied, assert_refused, call_apart
from PIL import Image
from support import TINY, write_pictures

from bench.cli import main
from bench.store.store import Store
from bench.sweep import costs, verify


@pytest.mark.parametrize("command", [(), ("run",), ("data",), ("data", "make-like")])
def test_help_is_fast_because_it_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    arguments = ["bench", *command, "--help"]
    script = f"import sys; sys.argv = {arguments}\nfrom bench.cli import main\n"
    script += "try:\n    main()\nexcept SystemExit:\n    print(sorted(set(sys.modules)))"
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    assert "Usage: bench" in text
    heavy = ["torch", "pandas", "numpy", "yaml", "rich", "bench.config", "bench.data"]
    for module in heavy if command else [*heavy, "pydantic"]:  # which typer needs for commands
        assert f"'{module}'" not in text


def test_unknown_names_get_the_nearest(bench) -> None:
    run = ("run", "robustness", "--config", TINY)
    assert_refused(bench(*run, "--classifiers", "emodc_amdti"), "Did you mean emodc_amdit")
    assert_refused(bench(*run, "--perturbations", "gaussian_blurr"), "Did you mean gaussian_blur")
    assert_refused(bench("run", "robustnes"), "Did you mean robustness?")
    assert_refused(bench("data", "show", "faces", "--split", "tset"), "Did you mean test?")
    assert_refused(bench("run", "robustness", "--config", "defalt"), "Did you mean default")


@pytest.mark.parametrize("device", ["mps", "xpu:0", "cuda:", "gpu", "cuda:99"])
def test_devices_that_nobody_tested_are_refused_before_any_work(
    bench, tmp_path: Path, device: str
) -> None:
    refused = bench("run", "robustness", "--config", TINY, "--device", device, "--out", tmp_path)
    assert_refused(refused, f"{device}", "auto", "cpu")
    assert not list(tmp_path.iterdir())


def test_paths_may_begin_with_a_tilde_and_hold_colons(
    bench, picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells leave a tilde in `--out=~/x`, and know none of config files and variables."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMODC_BENCH_CACHE", "~/my:cache")
    config = tmp_path / "a:b.yaml"
    config.write_text(
        "data: {kind: folder, root: ~/faces}\n"
        "lists: {listed: ~/list.txt}\n"
        "classifiers: {tiny: {kind: baseline, architecture: test_resnet, steps: 1}}\n"
    )
    (tmp_path / "list.txt").write_text("test/happy/000.png\n")
    monkeypatch.chdir(tmp_path)  # a relative path alone looks like a URI
    run = ("run", "robustness", "--config=~/a:b.yaml", "--device", "cpu", "--out=run:1/of:me")
    code, text = bench(*run)
    assert code == 0, text
    out = tmp_path / "run:1" / "of:me"
    assert (out / "report" / "summary.csv").is_file()
    assert list((tmp_path / "my:cache" / "pictures").iterdir())
    assert "already" in bench(*run)[1]
    assert bench("report", "~/run:1/of:me")[0] == 0
    assert bench("compare", f"{out}:tiny", f"{out}:tiny")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "robustness", "--root", ""), "what follows --root is empty"),
        (("run", "robustness", "--data=", "--dry-run"), "--data= is empty"),
        (("report", " "), "what follows report is empty"),
    ],
)
def test_an_unset_variable_is_not_the_current_folder(
    bench, arguments: tuple[str, ...], said: str
) -> None:
    code, text = bench(*arguments)
    assert code == 2 and said in text and "unset" in text


@pytest.mark.parametrize(
    "arguments", [("--out", "s3://bucket/x"), ("--out=file:///x",), ("--root", "https://host/x")]
)
def test_an_address_is_no_folder(bench, arguments: tuple[str, ...]) -> None:
    assert_refused(bench("run", "robustness", *arguments), "is an address", "this machine")


@pytest.mark.parametrize("place", ["cells", "cells/tiny", "datasets", ".leases", "run.log"])
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_what_lies_in_the_way_is_named(
    bench, picture_folder: Path, tmp_path: Path, place: str, what: str
) -> None:
    config, out = tmp_path / "x.yaml", tmp_path / "out"
    config.write_text(
        f"data: {{kind: folder, root: {picture_folder}}}\nvalidation: false\n"
        "classifiers: {tiny: {kind: python, factory: 'support:reddest_is_happy'}}\n"
        "execution: {workers: 1}\n"
    )
    path = out / place
    path.parent.mkdir(parents=True)
    if what == "link":
        path.symlink_to(tmp_path / "nowhere" / "at" / "all")
    else:
        path.mkdir() if what == "folder" else path.write_text("")
    code, text = bench("run", "robustness", "-c", config, "--device", "cpu", "--out", out)
    if what == ("file" if place == "run.log" else "folder"):
        assert code == 0, text
        return
    words = {"file": "is a file where a folder", "folder": "is a folder where a file"}
    assert_refused(
        (code, text), f"{path} {words.get(what, 'is a link that leads nowhere')}", code=1
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_may_be_named_with_a_tilde_and_a_colon(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    bench("data", "make-like", "manifest", tmp_path / "m")
    table = pd.read_csv(tmp_path / "m" / "manifest.csv")
    path = tmp_path / f"x:y{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(str(path))
    option = ("-o", "pictures=~/m")
    code, text = bench("data", "verify", "manifest", f"--root=~/x:y{suffix}", *option)
    assert code == 0 and "140 pictures, 7 classes" in text


def test_an_unknown_config_key_is_named(bench, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(TINY.read_text() + "sede: 3\n")
    assert_refused(bench("run", "robustness", "-c", config), "mine.yaml", "unknown field 'sede'")


def test_a_missing_run_is_named(bench, tmp_path: Path) -> None:
    assert_refused(bench("report", tmp_path), str(tmp_path), "bench run")


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ((), (), "no pictures in folders of classes"),
        (("happy",), ("happy",), "only the class 'happiness'"),
        (("happy", "sad"), (), "no pictures of the test split"),
        (("happy", "sad"), ("happy", "angry"), "test has classes that train lacks: anger"),
    ],
)
def test_bad_folders_are_explained(
    bench,
    tmp_path: Path,
    train: tuple[str, ...],
    test: tuple[str, ...],
    words: str,
) -> None:
    data = tmp_path / "set"
    data.mkdir()
    write_pictures(data / "train", train, 3)
    write_pictures(data / "test", test, 2)
    outcome = bench("run", "robustness", "-c", TINY, "--data", data, "--out", tmp_path / "out")
    assert_refused(outcome, words, str(data))


def test_a_missing_data_folder_is_named(bench, tmp_path: Path) -> None:
    outcome = bench("run", "robustness", "-c", TINY, "--data", tmp_path / "nowhere")
    assert_refused(outcome, "nowhere", "no such folder")


def test_a_truncated_jpeg_is_skipped_counted_and_listed(bench, tmp_path: Path) -> None:
    data = tmp_path / "set"
    write_pictures(data / "train", ("happy", "sad"), 4)
    write_pictures(data / "test", ("happy", "sad"), 2)
    whole = tmp_path / "whole.jpg"
    Image.new("RGB", (200, 200), "red").save(whole)
    (data / "test" / "sad" / "cut.jpg").write_bytes(whole.read_bytes()[:700])
    code, text = bench("run", "robustness", "-c", TINY, "--data", data, "--dry-run")
    assert code == 0
    assert "1 file will be skipped" in text
    run = ("--classifiers", "test_resnet", "--perturbations", "clean", "--out", tmp_path / "out")
    code, text = bench("run", "robustness", "-c", TINY, "--data", data, *run)
    assert code == 0, text
    assert "skipped test/sad/cut.jpg" in text


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one classifier on clean pictures."""
    out = tmp_path_factory.mktemp("cli") / "out"
    flags = ["--classifiers", "test_resnet", "--perturbations", "clean", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["bench", "run", "robustness", "-c", str(TINY), *flags])
        main()
    assert not end.value.code
    return out


def test_a_manifest_has_the_command_behind_its_rows(bench, small_run: Path) -> None:
    store = Store(small_run)
    given = ["bench", "run", "robustness", "-c", str(TINY), "--out", str(small_run)]
    narrowed = ["--classifiers", "test_resnet", "--perturbations", "clean"]
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        assert shlex.split(manifest.command) == given + narrowed
    assert {cell.family for cell in store.planned()} == {"clean", "validation", "views"}
    code, text = bench(*given[1:], *narrowed, "--dry-run")
    assert code == 0 and "3 cells" in text and text.count("done") == 3


def test_a_corrupted_checkpoint_is_named_and_results_stay(
    bench,
    small_run: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(small_run, out)
    weights = next(out.glob("checkpoints/*/model.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-100] ^= 0xFF
    weights.write_bytes(content)
    outcome = bench("run", "robustness", "-c", TINY, "--out", out)
    assert_refused(outcome, weights.parent.name, "damaged", "delete that folder", code=1)
    assert bench("report", out)[0] == 0


def test_an_output_that_cannot_be_written_is_named(bench, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    outcome = bench("run", "robustness", "-c", TINY, "--out", blocked / "out")
    assert_refused(outcome, str(blocked), "--out", code=1)


def test_debug_shows_the_traceback(bench, tmp_path: Path) -> None:
    code, text = bench("report", tmp_path, "--debug")
    assert code == 2
    assert "Traceback" in text


@pytest.mark.parametrize("signals", [["SIGINT", "SIGINT"], ["SIGHUP", "SIGTERM"]])
def test_an_interrupted_run_says_that_the_same_command_continues(
    tmp_path: Path, signals: list[str]
) -> None:
    command = ["-m", "bench", "run", "robustness", "-c", TINY, "--out", tmp_path / "out"]
    with Copied(*command) as process:
        for line in process.stderr:
            if line.startswith("train"):
                break
        for name in signals:
            process.send_signal(getattr(signal, name))
            time.sleep(0.05)
        text = process.stderr.read()
    assert process.returncode == 1, text
    assert "interrupted. The same command continues" in text
    assert "Traceback" not in text


def test_a_contact_sheet_is_written(bench, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert bench("data", "show", "faces", "--out", sheet, "--columns", 3)[0] == 0
    with Image.open(sheet) as image:
        assert image.width > 3 * 128 and image.height > 7 * 128


def test_a_contact_sheet_of_a_split_without_pictures_is_refused(bench, tmp_path: Path) -> None:
    write_pictures(tmp_path / "own/test", ("happy", "sad"), 2)
    asked = ("data", "show", tmp_path / "own", "--split", "train", "--out", tmp_path / "sheet.png")
    assert_refused(bench(*asked), "no train pictures")
    assert not (tmp_path / "sheet.png").exists()


@pytest.fixture
def known_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is tried for seconds; `test_costs` is about that."""
    monkeypatch.setattr(costs, "measured", lambda *given: costs.Speed(step=9.0))


def test_a_dry_run_lists_cells_and_does_nothing(bench, known_speeds: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = bench("run", "robustness", "-c", TINY, "--out", out, "--dry-run")
    assert code == 0
    assert "clean, validation split" in text and "clean, TTA" in text
    assert "22 cells, about" in text and "train emodc_amdit: " in text
    assert not out.exists()


def test_a_dry_run_as_json(document, known_speeds: None, tmp_path: Path) -> None:
    code, plan = document("run", "robustness", "-c", TINY, "--out", tmp_path / "out", "--dry-run")
    assert code == 0 and len(plan["cells"]) == 22
    assert {cell["classifier"] for cell in plan["training"]} >= {"emodc_amdit", "test_resnet"}
    first = plan["cells"][0]
    assert (first["perturbation"], first["severity"], first["done"]) == ("clean", "0", False)
    assert sum(cell["seconds"] for cell in plan["cells"]) < plan["seconds"]


def test_run_train_and_report_as_json(document, small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(small_run, out)
    only = ("--classifiers", "test_resnet")
    code, trained = document("train", "-c", TINY, "--out", out, *only)
    (checkpoint,) = trained["checkpoints"]
    assert code == 0 and Path(checkpoint["folder"]).is_dir()
    assert (checkpoint["classifier"], checkpoint["seed"]) == ("test_resnet", 0)
    run = ("run", "robustness", "-c", TINY, "--out", out, *only, "--perturbations", "clean")
    code, ran = document(*run)
    assert code == 0 and ran["report"] == str(out / "report")
    assert [row["perturbation"] for row in ran["summary"]] == ["clean"]
    assert document("report", out) == (0, ran)


def test_an_error_leaves_stdout_empty(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, out, err = call_apart(capsys, monkeypatch, "report", tmp_path, "--json")
    assert (code, out) == (2, "") and "no plan.json" in err


def test_data_and_regress_as_json(document, monkeypatch, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    code, content = document("data", "show", "faces", "--out", sheet, "--columns", 1)
    assert (code, content) == (0, {"dataset": "faces", "sheet": str(sheet)})
    monkeypatch.setattr(verify, "regress", lambda update: ["accuracy moved"])
    assert document("regress") == (2, {"moved": ["accuracy moved"], "updated": False})
    assert document("regress", "--update")[0] == 0
