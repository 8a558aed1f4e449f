"""Two runs at one OUT at the same time: one correct store, and no advice to delete anything."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import TINY

from bench.config import load
from bench.report.results import read
from bench.store.store import Store
from bench.sweep.run import run
from bench.util.progress import Reporter

RUN = """
import sys
from pathlib import Path
from bench.config import load
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

config = load(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    run(config, Path(sys.argv[2]), Reporter())
except UserError as error:
    sys.exit(f"bench: {error}")
"""


def write_config(folder: Path, shards: int) -> Path:
    content = yaml.safe_load(TINY.read_text())
    for name in ("emodc_amdit", "emodc_control"):
        del content["classifiers"][name]
    content["perturbations"] = {"corruptions": {"gaussian_noise": [2]}}
    content["views"] = 0
    content["execution"] = {"workers": 1, "shards": shards}
    path = folder / f"{shards}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def shown(out: Path) -> list[tuple[object, ...]]:
    """What a report shows of each cell, but times."""
    results = read(out)
    assert not results.missing and not results.refused
    return [(r.cell, r.metrics.n, r.metrics.accuracy, r.metrics.d_p) for r in results.complete]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(load(write_config(folder, 2)), folder / "out", Reporter())
    return shown(folder / "out")


@pytest.mark.parametrize("shards", [(3, 5), (3, 3)], ids=str)
def test_two_runs_at_one_folder_end_in_one_complete_store(
    tmp_path: Path, undisturbed: list[tuple[object, ...]], shards: tuple[int, int]
) -> None:
    out = tmp_path / "out"
    configs = [write_config(tmp_path, count) for count in shards]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(config), str(out)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for config in configs
    ]  # fmt: skip
    for one in runs:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    said = []
    for one in runs:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in runs:
        said.append(one.communicate(timeout=600)[1])
        assert one.returncode == 0 or "The same `bench run` measures the cell again" in said[-1]
    assert not [text for text in said if "Traceback" in text or "delete" in text]

    store = Store(out)
    manifests = [store.manifest(cell) for cell in store.planned()]
    healed = all(m is not None and store.problem(m) is None for m in manifests)
    assert healed or any(one.returncode for one in runs)
    run(load(configs[0]), out, Reporter())
    assert shown(out) == undisturbed
