"""Wherever shards run, rows and traces are the same; what fails does not stop the rest."""

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import yaml
from support import TINY, write_pictures

from bench.classifiers import checkpoints
from bench.cli import main
from bench.config import Config, parse
from bench.data.open import open_dataset
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep import on_ray
from bench.sweep.on_ray import _Queue, group_of
from bench.sweep.plan import Shard, make_plan, shards_of
from bench.sweep.run import executor, run
from bench.sweep.worker import Worker, execute
from bench.util import runtime
from bench.util.errors import UserError
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)

Content = dict[str, tuple[pd.DataFrame, Any]]
"""Rows without times, and traces, by cell id."""


def config(**execution: Any) -> Config:
    content = yaml.safe_load(TINY.read_text())
    for name in ("emodc_amdit", "emodc_control"):
        del content["classifiers"][name]
    content["perturbations"] = {"corruptions": {"gaussian_noise": [2]}}
    content["views"] = 0
    content["execution"] = {"workers": 1, "shards": 3, "device": "cpu"} | execution
    return parse(content, "test")


def content(out: Path) -> Content:
    """Rows without times, and traces, of each cell."""
    store = Store(out)
    found = {}
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None and store.problem(manifest) is None
        traces = store.traces(manifest)
        errors = None if traces is None else traces.errors.tobytes()
        found[cell.id] = store.rows(manifest).drop(columns="seconds"), errors
    return found


def assert_same(out: Path, expected: Content) -> None:
    found = content(out)
    assert found.keys() == expected.keys()
    for cell, (rows, errors) in found.items():
        pd.testing.assert_frame_equal(rows, expected[cell][0], check_exact=True)
        assert errors == expected[cell][1]


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Content:
    out = tmp_path_factory.mktemp("inline")
    run(config(), out, QUIET)
    return content(out)


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_the_store_does_not_depend_on_the_executor(
    tmp_path: Path, inline: Content, name: str
) -> None:
    if name == "ray":
        pytest.importorskip("ray")
    run(config(executor=name, workers=2, shards=2), tmp_path, QUIET)
    assert_same(tmp_path, inline)


def test_a_node_that_dies_takes_no_shard_with_it(tmp_path: Path, inline: Content) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": on_ray._OBJECTS, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        other = cluster.add_node(**node)
        ray.init(cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        killed = threading.Event()

        def kill() -> None:
            while not list(tmp_path.glob("cells/*/*/part-*.parquet")):
                time.sleep(0.02)
            cluster.remove_node(other, allow_graceful=False)
            killed.set()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        run(config(executor="ray", workers=2, shards=7, errors="record"), tmp_path, QUIET)
        thread.join()
        assert killed.is_set()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert_same(tmp_path, inline)


def test_an_actor_that_is_killed_is_replaced(tmp_path: Path, inline: Content) -> None:
    pytest.importorskip("ray")
    killed: list[int] = []

    def kill() -> None:
        while not list(tmp_path.glob("cells/*/*/part-*.parquet")):
            time.sleep(0.02)
        children = psutil.Process().children(recursive=True)
        for child in children:
            if "_Actor" in " ".join(child.cmdline()) and not killed:
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    run(config(executor="ray", workers=2, shards=7), tmp_path, QUIET)
    thread.join()
    assert killed
    assert_same(tmp_path, inline)


def test_a_training_that_loses_its_process_goes_on_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    chosen = config(workers=2, save_every=0.05)
    spec = chosen.classifiers["emodc_base"]
    stages = [stage.model_copy(update={"steps": 12}) for stage in spec.stages]  # type: ignore[attr-defined]
    spec = spec.model_copy(update={"stages": stages})
    chosen = chosen.model_copy(update={"classifiers": {**chosen.classifiers, "emodc_base": spec}})
    dataset = open_dataset(chosen.data, 0)
    killed: list[int] = []

    def kill() -> None:
        while not list(tmp_path.glob("ray/checkpoints/.emodc-base-*.state")):
            time.sleep(0.02)
        for child in psutil.Process().children(recursive=True):
            if "_train" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)

    def weights(out: Path, *elsewhere: Any) -> list[str]:
        found = checkpoints.train_missing(
            chosen, dataset, out, Reporter(), lambda place: 0, *elsewhere
        )
        return [Card.verified(folder).weights for folder in found.values()]

    (tmp_path / "ray").mkdir()
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # trainings have as many as here, wherever they are
    own = {"num_cpus": 2, "object_store_memory": on_ray._OBJECTS, "include_dashboard": False}
    ray.init(log_to_driver=False, **own)
    try:
        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        disturbed = weights(tmp_path / "ray", on_ray.train)
        thread.join()
        assert killed and "goes on elsewhere" in capsys.readouterr().err
        assert disturbed == weights(tmp_path / "local")
    finally:
        torch.set_num_threads(before)
        ray.shutdown()


def test_an_error_in_a_training_is_the_runs_and_is_not_tried_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    for split in ("train", "val", "test"):
        write_pictures(tmp_path / "data" / split, ("happiness", "neutral"), 8)
    given = yaml.safe_load(TINY.read_text())
    chosen = parse(
        {
            "data": {"kind": "folder", "root": str(tmp_path / "data")},
            "classifiers": {"test_resnet": given["classifiers"]["test_resnet"]},
            "perturbations": {"corruptions": {"gaussian_noise": [2]}},
            "execution": {"workers": 1, "device": "cpu"},
        },
        "test",
    )
    dataset = open_dataset(chosen.data, 0)
    gone = next((tmp_path / "data/train").rglob("*.png"))
    gone.unlink()
    with pytest.raises(UserError, match=gone.name):
        checkpoints.train_missing(
            chosen, dataset, tmp_path / "out", Reporter(), lambda place: 0, on_ray.train
        )
    assert "elsewhere" not in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("bench.json"))


def test_ray_is_asked_for_by_name() -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match=r"emodc-bench\[ray\]"):
            executor("ray")
    else:
        assert executor("ray") is on_ray.execute
    with pytest.raises(UserError, match="Did you mean ray"):
        executor("rya")


def test_an_actor_keeps_its_classifier_and_long_shards_come_first(tmp_path: Path) -> None:
    chosen = config()
    keys = {(name, 0): "weights" for name in chosen.classifiers}
    plan = make_plan(chosen, open_dataset(chosen.data, 0), keys)
    shards = [shard for planned in plan for shard in shards_of(planned, 3)]
    seconds = {shard.name: float(number) for number, shard in enumerate(shards)}
    queue = _Queue(shards, seconds)
    first = queue.take(None, Counter())
    assert group_of(first)[0] == "emodc_base", "most work is left there"
    other = queue.take(None, Counter({group_of(first): 4}))
    assert group_of(other)[0] == "test_resnet"
    held = [queue.take(group_of(first), Counter()) for _ in range(8)]
    assert {group_of(shard) for shard in held} == {group_of(first)}
    times = [seconds[shard.name] for shard in (first, *held)]
    assert times == sorted(times, reverse=True)
    assert group_of(queue.take(group_of(first), Counter()))[0] == "test_resnet"
    assert len(queue) == len(shards) - 11


def test_processes_are_given_a_few_shards_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool looks at all that it was given whenever one ends, and runs have a million shards."""
    held, most = 0, 0

    class Pool:
        def submit(self, *_: object) -> Future[None]:
            nonlocal held, most
            held += 1
            most = max(most, held)
            done: Future[None] = Future()
            done.set_result(None)
            return done

    @contextmanager
    def pool(*_: object) -> Iterator[Pool]:
        yield Pool()

    monkeypatch.setattr(runtime, "pool", pool)
    shards, ran = [cast("Shard", object()) for _ in range(50)], list[Shard]()
    for shard in execute(shards, (), 3):
        held -= 1
        ran.append(shard)
    assert sorted(map(id, ran)) == sorted(map(id, shards))
    assert 3 <= most <= 6


# ------------------------------------------------------------------------------------------------
# What fails.


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The second shard of every cell of noise cannot be computed, until it is mended."""
    compute, mended = Worker._run, [False]

    def fails(self: Worker, shard) -> None:  # type: ignore[no-untyped-def]
        if shard.planned.cell.family == "corruption" and shard.number == 1 and not mended[0]:
            raise ZeroDivisionError("nothing divides by it")
        compute(self, shard)

    monkeypatch.setattr(Worker, "_run", fails)
    return mended


def test_an_error_stops_a_run_or_is_recorded(
    tmp_path: Path, inline: Content, broken: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        run(config(), tmp_path, QUIET)
    assert not (tmp_path / "failed").exists()

    recording = config(errors="record")
    for _ in range(2):  # what failed is told again, and not tried again
        with pytest.raises(UserError, match="2 shards could not be computed") as told:
            run(recording, tmp_path, QUIET)
        assert told.value.exit_code == 3
        for part in ("test_resnet, gaussian_noise 2, shard 1 of 3", "ZeroDivisionError"):
            assert part in str(told.value)
        broken[0] = True
    records = [json.loads(path.read_text()) for path in (tmp_path / "failed").iterdir()]
    assert len(records) == 2 and all("fails" in one["traceback"] for one in records)
    store = Store(tmp_path)
    complete = [cell.family for cell in store.planned() if store.manifest(cell) is not None]
    assert complete == ["validation", "clean"] * 2

    again = Path(shutil.copytree(tmp_path, tmp_path.with_name("again")))
    run(recording, tmp_path, QUIET, retry_failed=True)
    run(recording, again, QUIET, fresh=True)
    for out in (tmp_path, again):
        assert not list((out / "failed").iterdir())
        assert_same(out, inline)


def test_the_command_line_ends_with_3(
    tmp_path: Path,
    broken: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config().model_dump(mode="json", include={"seed"}) | {
        "data": {"kind": "faces", "train": 28, "val": 14, "test": 21},
        "classifiers": {"net": {"kind": "baseline", "architecture": "test_resnet", "steps": 1}},
        "perturbations": {"corruptions": {"gaussian_noise": [2]}},
        "execution": {"workers": 1, "shards": 2},
    }))  # fmt: skip
    command = ["bench", "run", "robustness", "-c", path, "--out", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", [*map(str, command), "--worker", "0/1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    told = capsys.readouterr().err
    assert "--retry-failed" in told and "Traceback" not in told


def test_too_little_memory_halves_the_batch_and_is_recorded(
    tmp_path: Path, inline: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbed = Worker.perturbed

    def large(self: Worker, planned, samples, *rest) -> list[np.ndarray | None]:  # type: ignore[no-untyped-def]
        if len(samples) > 2:
            raise torch.OutOfMemoryError("too many")
        return perturbed(self, planned, samples, *rest)

    monkeypatch.setattr(Worker, "perturbed", large)
    store = run(config(batch_size=8), tmp_path, QUIET)
    assert_same(tmp_path, inline)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        assert manifest.environment["batch_size"] == "2 of 8: out of memory"
