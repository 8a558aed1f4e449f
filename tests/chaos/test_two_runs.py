"""Runs at one OUT at the same time: one correct store, work done once, no advice to delete."""

import re
import time
from pathlib import Path

import pytest
import yaml
from command_line import Copied
from support import TINY

from bench.config import load
from bench.report.results import read
from bench.store.leases import FOLDER
from bench.store.store import Store
from bench.sweep.run import run
from bench.util.progress import Reporter

RUN = """
import sys
from pathlib import Path
import torch
from bench.config import load
from bench.sweep.run import run
from bench.sweep.together import WorkPart
from bench.sweep.worker import Worker
from bench.util.errors import UserError
from bench.util.progress import Reporter

compute = Worker._run
def counted(self, shard):
    print("shard", shard.name, flush=True)
    compute(self, shard)
Worker._run = counted
torch.set_num_threads(1)  # as in the undisturbed run: bits of weights depend on it, so ids do
config = load(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    part = WorkPart.parsed(sys.argv[3]) if sys.argv[3:] else None
    run(config, Path(sys.argv[2]), Reporter(), part=part)
except UserError as error:
    print(f"bench: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def write_config(folder: Path, shards: int) -> Path:
    content = yaml.safe_load(TINY.read_text())
    for name in ("emodc_amdit", "emodc_control"):
        del content["classifiers"][name]
    content["perturbations"] = {"corruptions": {"gaussian_noise": [2]}}
    content["views"] = 0
    content["data"]["test"] = 140  # enough that neither has done all before the other begins
    content["execution"] = {"workers": 1, "shards": shards}
    path = folder / f"{shards}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def shown(out: Path) -> list[tuple[object, ...]]:
    """What a report shows of each cell, but times."""
    results = read(out)
    assert not results.missing and not results.refused
    return [(r.cell, r.n, r.accuracy, r.d_p) for r in results.complete]


def started(*commands: list[str]) -> list[Copied]:
    """Runs that begin at the same moment."""
    runs = [Copied("-c", RUN, *command) for command in commands]
    for one in runs:
        assert one.stdout.readline() == "ready\n"
    for one in runs:
        one.stdin.write("go\n")
        one.stdin.flush()
    return runs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(load(write_config(folder, 2)), folder / "out", Reporter())
    return shown(folder / "out")


def test_two_runs_with_other_shards_end_in_one_complete_store(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    out = tmp_path / "out"
    configs = [write_config(tmp_path, count) for count in (3, 5)]
    runs = started(*([str(config), str(out)] for config in configs))
    said = [one.communicate()[1] for one in runs]
    for one, text in zip(runs, said, strict=True):
        assert one.returncode == 0 or "The same `bench run` measures the cell again" in text
        assert "Traceback" not in text and "delete" not in text

    store = Store(out)
    manifests = [store.manifest(cell) for cell in store.planned()]
    healed = all(m is not None and store.problem(m) is None for m in manifests)
    assert healed or any(one.returncode for one in runs)
    run(load(configs[0]), out, Reporter())
    assert shown(out) == undisturbed


@pytest.mark.parametrize("workers", [False, True], ids=["two runs", "two workers"])
def test_two_runs_do_everything_once(
    tmp_path: Path, undisturbed: list[tuple[object, ...]], workers: bool
) -> None:
    out, config = tmp_path / "out", write_config(tmp_path, 3)
    parts = [["0/2"], ["1/2"]] if workers else [[], []]
    runs = started(*([str(config), str(out), *part] for part in parts))
    printed, said = zip(*(one.communicate() for one in runs), strict=True)
    assert [one.returncode for one in runs] == [0, 0], said
    shards = re.findall(r"shard (\S+)", "".join(printed))
    assert len(shards) == len(set(shards)) == 6 * 3
    assert all("shard" in text for text in printed), "one of them had nothing to do"
    trained = re.findall(r"^train (\w+).*: 3/3 in", "".join(said), re.MULTILINE)
    assert sorted(trained) == ["emodc_base", "test_resnet"]
    assert shown(out) == undisturbed
    assert not (out / FOLDER).exists()


def test_a_run_takes_over_from_one_that_is_killed(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    out, config = tmp_path / "out", write_config(tmp_path, 3)
    killed, other = started([str(config), str(out)], [str(config), str(out)])
    assert killed.stdout.readline().startswith("shard"), "it holds the lease of this one"
    killed.kill()
    killed.wait()
    began = time.monotonic()
    _, said = other.communicate()
    assert other.returncode == 0, (said, time.monotonic() - began)
    killed.communicate()
    assert shown(out) == undisturbed
