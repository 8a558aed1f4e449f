"""What a run will cost: measured once for each network, early decisions, unequal work."""

import json
import time
from pathlib import Path

import pytest
from support import TINY

from bench.config import Config, load
from bench.data.open import open_dataset
from bench.store.store import Store
from bench.sweep import costs
from bench.sweep.plan import make_plan
from bench.sweep.run import dry_run
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("EMODC_BENCH_CACHE", str(tmp_path / "cache"))
    chosen = load(TINY).select(["test_resnet", "emodc_amdit"])
    spec = chosen.classifiers["emodc_amdit"]
    decision = {"decision": {"kind": "t_test"}, "decide_on_clean": False}
    evaluation = type(spec.evaluation).model_validate(spec.evaluation.model_dump() | decision)  # type: ignore[attr-defined]
    spec = spec.model_copy(update={"evaluation": evaluation})
    return chosen.model_copy(update={"classifiers": {**chosen.classifiers, "emodc_amdit": spec}})


def test_each_network_is_measured_once(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dry_run(config, tmp_path / "out")
    assert not before.measured and not (tmp_path / "cache" / "speeds").exists()
    plan = dry_run(config, tmp_path / "out", reporter=QUIET)
    assert plan.measured
    monkeypatch.setattr(costs, "measured", lambda *_: pytest.fail("it is known already"))
    assert dry_run(config, tmp_path / "out", reporter=QUIET) == plan

    found = costs.speeds(config, open_dataset(config.data, 0))
    assert set(found) == set(config.classifiers)
    for speed in found.values():
        figures = (speed.verdict, speed.live, speed.gradient, speed.step, speed.flops)
        assert min(figures) > 0
    assert found["emodc_amdit"].evaluations == 7 * 4
    families = {(one.classifier, one.family): one for one in plan.expected}
    for name in config.classifiers:
        for family in ("training", "clean", "corruption", "attack"):
            one = families[name, family]
            assert one.seconds > 0 and one.on("A100") < one.on("L4")
    assert families["emodc_amdit", "clean"].evaluations == 14 * 28
    assert families["emodc_amdit", "corruption"].evaluations < 2 * 14 * 28
    disk = families["emodc_amdit", "clean"].bytes
    assert disk > families["test_resnet", "clean"].bytes > 0


def test_a_damaged_memory_is_measured_anew(config: Config) -> None:
    dataset, alone = open_dataset(config.data, 0), config.select(["test_resnet"])
    [first] = costs.speeds(alone, dataset, QUIET).values()
    [path] = (costs.cache_folder() / "speeds").iterdir()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"speed": content["speed"] | {"flops": 1.0}}))
    assert costs.speeds(alone, dataset) == {}
    [again] = costs.speeds(alone, dataset, QUIET).values()
    assert again.flops == first.flops


def test_finished_cells_say_how_soon_decisions_end(config: Config, tmp_path: Path) -> None:
    dataset = open_dataset(config.data, 0)
    keys = [(name, 0) for name in config.classifiers]
    plan = make_plan(config, dataset, dict.fromkeys(keys, "weights"))
    known = costs.Costs(config, Store(tmp_path))
    early = [p for p in plan if known.share(p) < 1]
    assert {(p.cell.classifier, p.cell.family) for p in early} == {
        ("emodc_amdit", "corruption"),
        ("emodc_amdit", "attack"),
    }
    known.__dict__["_known"] = {("emodc_amdit", "corruption"): (0.5, 0.25)}
    corrupted = next(p for p in early if p.cell.family == "corruption")
    assert known.share(corrupted) == 0.25
    assert known.seconds(corrupted) == pytest.approx(14 * 0.5)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the clock, as its only element."""
    told = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: told[0])
    return told


def test_time_left_counts_with_work(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter().task("sweep", 10, work=100.0) as task:
        now[0] = 20.0
        task.advance(5, work=10.0)  # half of the pictures, a tenth of the work
    assert "5/10, about 3 min 00 s left" in capsys.readouterr().err


def test_nothing_is_said_of_the_time_left_while_processes_start(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Reporter().task("sweep", 10, work=100.0) as task:
        now[0] = 20.0
        task.advance(1, "resnet18 clean", work=0.2)  # at this rate it would take 3 hours
        assert capsys.readouterr().err == "sweep: 1/10  resnet18 clean\n"
        now[0] = 40.0
        task.advance(1, work=2.0)
        assert "2/10, about 29 min 38 s left" in capsys.readouterr().err
