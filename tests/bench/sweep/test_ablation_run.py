"""The whole of `bench run ablation` on a tiny config, in process."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.classifiers.checkpoints import train_missing
from bench.cli import main
from bench.cli.run import Suite
from bench.config import load
from bench.data.open import open_dataset
from bench.perturb import CORRUPTIONS
from bench.report import write_report
from bench.stats import wilson
from bench.stats.bootstrap import two_level
from bench.store.cells import Cell
from bench.store.store import Store
from bench.sweep.plan import PlannedCell
from bench.sweep.run import dry_run, run
from bench.sweep.worker import Worker
from bench.util.progress import Reporter

TINY = Path(__file__).parents[2] / "tiny_ablation.yaml"
SEEDS = (0, 1)
VARIANTS = ("emodc_base", "emodc_margin", "emodc_amdit")


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ablation")
    run(load(TINY), out, Reporter())
    write_report(out)
    return out


def correct(out: Path) -> dict[str, np.ndarray]:
    """Straight from the stored rows: right or wrong on clean pictures, (seeds, samples)."""
    store, found = Store(out), {}
    for cell in store.planned():
        if cell.family == "clean":
            rows = store.rows(store.manifest(cell))
            found[cell.classifier, cell.seed] = (rows["prediction"] == rows["label"]).to_numpy()
    return {v: np.array([found[v, s] for s in SEEDS], dtype=float) for v in VARIANTS}


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "report" / "tables" / f"faces-{name}.csv").open() as handle:
        return list(csv.DictReader(handle))


def shown(row: dict[str, str], column: str) -> list[float]:
    """A number of a table and both ends of its interval."""
    return [float(row[f"{column}{end}"]) for end in ("", " low", " high")]


def test_stages_are_shared_within_a_seed_and_not_across(ablated: Path) -> None:
    kinds = sorted(p.name.rsplit("-", 1)[0] for p in (ablated / "checkpoints").iterdir())
    # Per seed: the first stage once, the second stages of base, margin and amdit.
    expected = ["emodc-amdit", "emodc-base", "emodc-base", "emodc-margin"] * len(SEEDS)
    assert kinds == sorted(expected)


def test_the_summary_has_a_row_per_seed(ablated: Path) -> None:
    with (ablated / "report" / "summary.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(r["classifier"].split(" ")[0], r["perturbation"], r["seed"]) for r in rows] == [
        (v, p, str(s)) for v in VARIANTS for s in SEEDS for p in ("clean", "gaussian_noise")
    ]
    right = correct(ablated)
    for row in rows:
        if row["perturbation"] == "clean":
            values = right[row["classifier"].split(" ")[0]][int(row["seed"])]
            assert float(row["accuracy"]) == pytest.approx(values.mean(), abs=1e-6)
            low = wilson(int(values.sum()), len(values)).low
            assert float(row["accuracy_low"]) == pytest.approx(low, abs=1e-6)


def test_the_table_s_numbers_are_those_of_the_rows(ablated: Path) -> None:
    right, rows = correct(ablated), table(ablated, "ablation")
    assert [row["variant"].split(" ")[0] for row in rows] == list(VARIANTS)
    for row, name in zip(rows, VARIANTS, strict=True):
        alone, both = wilson(28 * right[name].mean(), 28), two_level(right[name], bounds=(0, 1))
        ends = (min(alone.low, both.low), max(alone.high, both.high))
        expected = [100 * value for value in (right[name].mean(), *ends)]
        assert shown(row, "accuracy %") == pytest.approx(expected, abs=1e-3)
        assert (row["seeds"], row["n"], row["steps"]) == ("2", "28", "5")
        if name == "emodc_base":
            assert row["difference to Base"] == ""
            continue
        differences = right[name] - right["emodc_base"]
        interval = two_level(differences, bounds=(-1, 1))
        expected = [100 * value for value in (differences.mean(), interval.low, interval.high)]
        assert shown(row, "difference to Base") == pytest.approx(expected, abs=1e-3)
        marked = row["difference to Base mark"] == "not distinguishable"
        assert marked  # 28 pictures after 5 steps: nothing can be told apart


def test_manifests_say_what_was_trained(ablated: Path) -> None:
    store = Store(ablated)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest.training["kind"] == "emodc"
        assert manifest.training["seed"] == cell.seed
        assert [s["objective"]["kind"] for s in manifest.training["stages"]] == [
            "base",
            cell.classifier.removeprefix("emodc_"),
        ]
        assert manifest.training["seconds"] > 0
        assert set(manifest.validation) == {"accuracy", "d_p"}
        assert manifest.inputs["seed"] == cell.run_seed == 3


def test_trainings_differ_and_pictures_and_noise_do_not(ablated: Path) -> None:
    config = load(TINY)
    dataset = open_dataset(config.data, config.seed)
    folders = train_missing(config, dataset, ablated, Reporter())
    assert len({path for key, path in folders.items() if key[0] == "emodc_amdit"}) == 2
    worker = Worker(config, dataset, ablated, folders)
    cells = [c for c in Store(ablated).planned() if c.classifier == "emodc_amdit"]
    noisy = sorted((c for c in cells if c.family == "corruption"), key=lambda c: c.seed)
    sample = dataset.samples("test")[4]
    opened = [worker.classifier(c.classifier, c.seed) for c in noisy]
    assert [c.model.evaluation.seed for c in opened] == [3, 3]
    assert opened[0].digest != opened[1].digest

    def shown(cell: Cell) -> np.ndarray | None:
        planned = PlannedCell(cell, {}, (), CORRUPTIONS[cell.perturbation])
        return worker.perturbed(planned, [sample], opened[0])[0]

    pictures = [shown(cell) for cell in noisy]
    np.testing.assert_array_equal(*pictures)
    other = noisy[0].model_copy(update={"run_seed": 4})
    assert not np.array_equal(shown(other), pictures[0])


def test_nothing_is_left_to_do_and_one_seed_more_trains_only_itself(ablated: Path) -> None:
    assert all(done for _, done, _ in dry_run(load(TINY), ablated).cells)
    more = load(TINY).model_copy(update={"training_seeds": [0, 1, 2]})
    plan = dry_run(more, ablated)
    # The first stage is counted once, with the classifier that trains it.
    assert plan.training == {("emodc_base", 2): 5, ("emodc_margin", 2): 3, ("emodc_amdit", 2): 3}
    assert [p.cell.seed for p, done, _ in plan.cells if not done] == [2] * 6


def test_the_command_has_a_config_and_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert Suite.ablation.config == Path("ablation.yaml")
    assert Suite.ablation.out == Path("results/runs/ablation")
    assert Suite.robustness.config == Path("default.yaml")
    assert Suite.robustness.out == Path("results/runs/robustness")
    arguments = ["run", "ablation", "-c", str(TINY), "--dry-run", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    text = capsys.readouterr().out
    assert caught.value.code in (0, None)
    assert "train emodc_margin, seed 1: 3 steps" in text
    assert "12 cells, about" in text


def test_the_shipped_config_changes_one_thing_at_a_time() -> None:
    config = load(Path("ablation.yaml"))
    assert config.seeds == [0, 1, 2, 3, 4]
    first, second = config.classifiers["emodc_base"].stages
    kinds = set()
    for spec in config.classifiers.values():
        assert spec.stages[0] == first
        objective = spec.stages[1].objective
        kinds.add((spec.kind, objective.kind, getattr(objective, "c_nn", None)))
        assert spec.stages[1].model_copy(update={"objective": second.objective}) == second
        same = {"stages": [first, second]}
        assert spec.model_dump() | same == config.classifiers["emodc_base"].model_dump() | same
    adaptive = {("emodc", "amdit", prompt) for prompt in ("positive", "null", "non_class")}
    plain = {("emodc", kind, None) for kind in ("base", "hard_negative", "margin", "cross_entropy")}
    assert kinds == adaptive | plain
