"""Several runs at one folder: whose part is what, whose plan the report shows."""

from pathlib import Path

import pytest

from bench.config import Config, parse
from bench.store.store import Store
from bench.sweep.plan import make_plan, shards_of
from bench.sweep.run import run
from bench.sweep.together import Together, WorkPart
from bench.util.errors import UserError
from bench.util.progress import Reporter

NET = {"kind": "baseline", "architecture": "test_resnet", "steps": 1, "batch_size": 8}


class Said(Reporter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def config(train: int = 14, corruption: str = "gaussian_noise") -> Config:
    return parse(
        {
            "data": {"kind": "faces", "train": train, "val": 7, "test": 7},
            "classifiers": {"net": NET},
            "perturbations": {"corruptions": {corruption: [2]}},
            "execution": {"workers": 1, "shards": 3, "device": "cpu"},
        },
        "test",
    )


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "1/0", "1/2/3"])
def test_a_worker_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write I/N"):
        WorkPart.parsed(text)


def test_every_worker_begins_with_its_own_part_and_goes_through_all(tmp_path: Path) -> None:
    from bench.data.open import open_dataset

    chosen = config()
    plan = make_plan(chosen, open_dataset(chosen.data, 0), {("net", 0): "weights"})
    shards = [shard for planned in plan for shard in shards_of(planned, 3)]
    todo, firsts = shards[2:], []  # two are done
    for number in range(3):
        together = Together(tmp_path, Said(), WorkPart(number, 3))
        ordered = together.ordered(plan, 3, todo)
        assert sorted(s.name for s in ordered) == sorted(s.name for s in todo)
        own = {shard.name for place, shard in enumerate(shards) if place % 3 == number}
        mine = [shard.name in own for shard in ordered]
        assert mine == sorted(mine, reverse=True) and any(mine)
        firsts.append(ordered[0].name)
    assert len(set(firsts)) == 3


def test_whose_plan_the_report_shows_is_told(tmp_path: Path) -> None:
    first, other = Said(), Said()
    run(config(), tmp_path, first)
    assert not [line for line in first.lines if "report" in line]
    run(config(corruption="gaussian_blur"), tmp_path, other)
    assert any("1 cells of other runs" in line for line in other.lines)

    again, together = Said(), Together(tmp_path, Said())
    together.reporter = again
    together.planned = {cell.id for cell in Store(tmp_path).planned()}
    run(config(train=21), tmp_path, Said())  # replaces what it has in common
    together.tell_plans(Store(tmp_path))
    assert any("with other settings" in line for line in again.lines)
    assert Store(tmp_path).unplanned() == 3  # validation, clean, noise
    run(config(), tmp_path, Said())  # its report shows its own cells again
    assert together.planned <= {cell.id for cell in Store(tmp_path).planned()}
    assert Store(tmp_path).unplanned() == 3


def test_nothing_is_measured_anew_beside_another_run(tmp_path: Path) -> None:
    from bench.store.leases import Leases

    run(config(), tmp_path, Said())
    other = Leases(tmp_path)
    other.folder.mkdir()
    other.folder.joinpath("run-x").write_text(
        '{"host": "node1", "machine": "other", "pid": 1, "token": "x"}'
    )
    said = Said()
    with pytest.raises(UserError, match="process 1 on node1"):
        run(config(), tmp_path, said, fresh=True)
    log = (tmp_path / "run.log").read_text().splitlines()
    assert "ended by UserError: --fresh: process 1 on node1 works at" in log[-1]
    run(config(), tmp_path, said)
    assert any("process 1 on node1" in line for line in said.lines)
