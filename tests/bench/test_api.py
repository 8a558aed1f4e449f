"""`bench.evaluate` and its neighbours: a user's own model, in a few lines of Python."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench import live
from bench.labels import BASIC
from bench.perturb import CORRUPTIONS
from bench.store.store import Store

FACES = {"kind": "faces", "train": 14, "val": 14, "test": 21}


class Mine(torch.nn.Module):
    """Three lines of a user's own."""

    classes = BASIC

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(
                torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 7)
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)


@pytest.fixture(scope="module")
def model() -> Mine:
    return Mine().train()


@pytest.fixture(scope="module")
def results(model: Mine) -> bench.RunResults:
    wanted = {"gaussian_noise": [1, 3], "gaussian_blur_sigma": [1.5], "pgd": ["4/255"]}
    return bench.evaluate(model, FACES, wanted, attack_limit=7, quiet=True)


def test_a_module_is_measured_as_it_is(model: Mine, results: bench.RunResults) -> None:
    rows = results.rows()
    clean = rows[rows["perturbation"] == "clean"]
    dataset = bench.open_dataset("faces", **{k: v for k, v in FACES.items() if k != "kind"})
    pictures = np.stack([dataset.picture(sample) for sample in dataset.samples("test")])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = np.concatenate([model(image[None]).numpy() for image in images])
    np.testing.assert_array_equal(np.stack(list(clean["logits"])), expected)
    assert set(rows["classifier"]) == {"mine"}
    # It comes back as it was given.
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_results_are_a_table_a_frame_a_figure_and_a_report(results: bench.RunResults) -> None:
    table, frame = results.table(), results.to_pandas()
    assert list(table.index) == ["mine"]
    assert list(table.columns)[1:4] == ["clean", "gaussian noise", "pgd 4/255 (n 7)"]
    clean = frame[frame["perturbation"] == "clean"].iloc[0]
    assert table.loc["mine", "clean"].startswith(f"{100 * clean['accuracy']:.1f} [")
    assert frame["accuracy"].dtype == float
    assert {(p, s) for p, s in zip(frame["perturbation"], frame["severity"], strict=True)} == {
        ("clean", "0"),
        ("gaussian_noise", "1"),
        ("gaussian_noise", "3"),
        ("pgd", "4/255"),
    }
    assert results.plot().axes[0].get_ylabel() == "accuracy (%)"
    assert (results.report().folder / "index.html").is_file()
    assert "mine" in repr(results)


def test_without_a_folder_results_go_with_their_object(model: Mine) -> None:
    found = bench.evaluate(model, FACES, [], limit=7, quiet=True)
    out = found.out
    assert (out / "plan.json").is_file()
    del found
    assert not out.exists()


def test_a_store_is_continued_and_can_be_read_again(model: Mine, tmp_path: Path) -> None:
    calls = []

    class Counting(Mine):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            calls.append(len(images))
            return super().forward(images)

    counting = Counting()
    first = bench.evaluate(counting, FACES, [], tmp_path, name="mine", limit=7, quiet=True)
    planned = Store(tmp_path).planned()
    measured = {cell.id: Store(tmp_path).manifest(cell) for cell in planned}
    calls.clear()
    again = bench.evaluate(counting, FACES, [], tmp_path, name="mine", limit=7, quiet=True)
    assert len(calls) < 7  # nothing is measured again
    assert {c.id: Store(tmp_path).manifest(c) for c in Store(tmp_path).planned()} == measured
    for found in (again, bench.load_results(tmp_path), bench.load_results(str(tmp_path))):
        assert found.to_pandas().equals(first.to_pandas())


@pytest.mark.parametrize("kind", ["module", "function"])
def test_a_model_that_computes_something_else_is_measured_anew(
    model: Mine, tmp_path: Path, kind: str
) -> None:
    """Same name, same weights, same folder; only `forward` differs, as after a cell is edited."""

    class Rolled(Mine):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).roll(1, 1)

    first, other = (model, Rolled()) if kind == "module" else (model.forward, Rolled().forward)

    def logits(own: object) -> np.ndarray:
        found = bench.evaluate(
            own, FACES, [], tmp_path, name="same", class_order=BASIC, limit=7, quiet=True
        )
        return np.stack(list(found.rows()["logits"]))

    before = logits(first)
    np.testing.assert_array_equal(logits(other), np.roll(before, 1, axis=1))
    np.testing.assert_array_equal(logits(first), before)


def test_functions_and_several_models_are_compared(model: Mine) -> None:
    def darker(images: torch.Tensor) -> torch.Tensor:
        return model(0.5 * images)

    both = bench.evaluate(
        {"mine": model, "darker": darker}, FACES, ["gaussian_noise"], class_order=BASIC, quiet=True
    )
    assert both.classifiers == ["mine", "darker"]
    compared = bench.compare(both["mine"], both["darker"])
    frame = compared.to_pandas()
    assert {"label", "n", "a_value", "difference_low", "p_holm"} <= set(frame.columns)
    accuracy = both.to_pandas().set_index(["classifier", "perturbation", "severity"])["accuracy"]
    row = frame[frame["label"] == "clean"].iloc[0]
    assert row["a_value"] == pytest.approx(accuracy["mine", "clean", "0"], abs=1e-6)
    assert row["b_value"] == pytest.approx(accuracy["darker", "clean", "0"], abs=1e-6)
    assert "not distinguishable" in repr(compared)
    alone = bench.evaluate(darker, FACES, [], class_order=BASIC, quiet=True)
    assert len(bench.compare(both["mine"], alone).rows) == 1  # its only classifier is meant


def test_entries_of_a_config_and_configs_are_models_and_runs(tmp_path: Path) -> None:
    entry = {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 7}
    named = bench.evaluate(entry, FACES, [], tmp_path, name="net", limit=7, quiet=True)
    content = {"limit": 7, "data": FACES, "classifiers": {"net": entry}}
    run = bench.run(content, tmp_path, quiet=True)
    assert run.to_pandas().equals(named.to_pandas())
    folder = next((tmp_path / "checkpoints").iterdir())
    stored = bench.evaluate(folder, FACES, [], tmp_path, name="net", limit=7, quiet=True)
    assert stored.to_pandas()["accuracy"].equals(run.to_pandas()["accuracy"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bench.evaluate(lambda x: x, FACES, quiet=True), "class_order=[...]"),
        (lambda: bench.evaluate(3, FACES, class_order=BASIC), "expected a torch module"),
        (lambda: bench.evaluate(Mine, FACES), "expected a torch module"),
        (lambda: bench.evaluate("resnet19", FACES), "Did you mean resnet18"),
        (lambda: bench.evaluate(Mine(), "faecs"), "Did you mean faces"),
        (lambda: bench.evaluate(Mine(), "raf_db"), "raf_db needs --root DIR"),
        (lambda: bench.evaluate(Mine(), FACES, ["gausian_noise"]), "gaussian_noise"),
        (lambda: bench.evaluate(Mine(), FACES, {"pgdd": [1]}), "pgd"),
        (lambda: bench.evaluate(Mine(), FACES, {"gaussian_noise": [9]}), "gaussian_noise"),
        (lambda: bench.evaluate({"a": Mine()}, FACES, name="b"), "leave `name` out"),
        (lambda: bench.run({"classifiers": {}}), "classifiers"),
        (lambda: bench.open_dataset("faces", fold=2), "option of faces"),
        (lambda: bench.load_results("nowhere").table(), "nowhere"),
        (lambda: bench.compare("a", "b", out="nowhere"), "nowhere"),
    ],
)
def test_what_a_user_gets_wrong_is_said_in_a_sentence(
    call: Callable[[], object], words: str
) -> None:
    with pytest.raises(bench.UserError) as refused:
        call()
    assert words in str(refused.value)
    assert not live._MODELS  # nothing stays behind


def test_corrupt_makes_the_pixels_of_a_run() -> None:
    dataset = bench.open_dataset("faces", train=14, val=14, test=21)
    samples = dataset.samples("test")[:3]
    pictures = np.stack([dataset.picture(sample) for sample in samples])
    ids = [sample.id for sample in samples]
    found = bench.corrupt(pictures, "gaussian_noise", 3, ids=ids, dataset="faces")
    expected = CORRUPTIONS["gaussian_noise"].batch(
        pictures, 3, seed=0, dataset="faces", sample_ids=ids
    )
    np.testing.assert_array_equal(found, expected)
    one = bench.corrupt(pictures[0], "gaussian_noise", 3, ids=ids[:1], dataset="faces")
    np.testing.assert_array_equal(one, found[0])
    assert not np.array_equal(bench.corrupt(pictures, "gaussian_blur_sigma", 1.5), pictures)


@pytest.mark.parametrize(
    ("pictures", "name", "severity", "words"),
    [
        (np.zeros((4, 4, 3)), "gaussian_noise", 3, "uint8 RGB"),
        (np.zeros((4, 4), np.uint8), "gaussian_noise", 3, "(4, 4)"),
        (np.zeros((32, 32, 3), np.uint8), "gaussian_noise", 9, "no severity 9"),
        (np.zeros((32, 32, 3), np.uint8), "gausian_noise", 3, "Did you mean gaussian_noise"),
        (np.zeros((32, 32, 3), np.uint8), "gaussian_blur_sigma", -1, "is from"),
    ],
)
def test_corrupt_says_what_it_takes(
    pictures: np.ndarray, name: str, severity: float, words: str
) -> None:
    with pytest.raises(bench.UserError) as refused:
        bench.corrupt(pictures, name, severity)
    assert words in str(refused.value)


def test_names_of_models() -> None:
    assert live.name_of(Mine()) == "mine"
    assert live.name_of(torch.nn.Linear(1, 1)) == "linear"
    assert live.name_of(torch.nn.AdaptiveAvgPool2d(1)) == "adaptive_avg_pool2d"
    assert live.name_of(lambda x: x) == "lambda"


HEAVY = ("torch", "pandas", "diffusers", "transformers", "matplotlib", "timm", "numba")


@pytest.mark.parametrize(
    "code", ["import bench", "import sys, bench.cli; sys.argv[1:] = ['--help']; bench.cli.main()"]
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    told = f"import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules)); {code}"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    loaded = done.stdout[done.stdout.rindex("loaded") :].split()
    assert not set(HEAVY).intersection(loaded)


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from bench.util import runtime\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "import operator\n"
        "with ProcessPoolExecutor(1, runtime.PROCESSES) as pool:\n"
        "    print(pool.submit(operator.add, 1, 2).result(), __file__)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["started", "3", str(script)]
