"""Corrupted pictures are generated once and shared: the same bytes, bounded, gone at the end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import summary_without_times, write_pictures

from bench.config import Config, parse
from bench.data.open import open_dataset
from bench.perturb import CORRUPTIONS, Corruption
from bench.perturb import base as perturb_base
from bench.report import write_report
from bench.store.store import Store
from bench.sweep import run as sweep
from bench.sweep.plan import PlannedCell, SharedFile, make_plan, shards_of
from bench.sweep.run import run
from bench.sweep.worker import FOLDER, Sharing, Worker, bytes_of, corrupted, execute
from bench.util.progress import Reporter

CELLS = 3  # corrupted ones of each classifier
TINY = {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 4}


@pytest.fixture
def folder(picture_folder: Path) -> Path:
    """Pictures of two sizes."""
    write_pictures(picture_folder / "test", ("sad",), 4, size=31)
    write_pictures(picture_folder / "train", ("sad",), 4, size=31)
    return picture_folder


def config(folder: Path, **execution: object) -> Config:
    return parse(
        {
            "precision": "float32",
            "validation": False,
            "data": {"kind": "folder", "root": str(folder)},
            "classifiers": {"one": TINY, "two": TINY | {"steps": 3}},
            "perturbations": {"corruptions": {"gaussian_noise": [1, 3], "shot_noise": [2]}},
            "execution": {"workers": 1, "device": "cpu"} | execution,
        },
        "test",
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The samples that were corrupted, and in batches."""
    made: list[str] = []
    batch = Corruption.batch

    def counted(self: Corruption, pictures, severity, *, sample_ids, **address):  # type: ignore
        made.extend(f"{self.name} {severity} {name}" for name in sample_ids)
        return batch(self, pictures, severity, sample_ids=sample_ids, **address)

    monkeypatch.setattr(perturb_base.Corruption, "batch", counted)
    yield made


def plans(folder: Path, shards: int = 2) -> tuple[list, object]:
    chosen = config(folder, shards=shards)
    dataset = open_dataset(chosen.data, chosen.seed)
    planned = make_plan(chosen, dataset, {("one", 0): "a", ("two", 0): "b"})
    return [shard for p in planned for shard in shards_of(p, shards)], dataset


def test_each_picture_is_corrupted_once_for_all_classifiers(
    folder: Path, tmp_path: Path, calls: list[str]
) -> None:
    run(config(folder), tmp_path / "shared", Reporter(quiet=True))
    assert len(calls) == len(set(calls)) == CELLS * 14
    assert not (tmp_path / "shared" / FOLDER).exists()
    calls.clear()
    run(config(folder, corrupted_cache=0), tmp_path / "apart", Reporter(quiet=True))
    assert len(calls) == 2 * len(set(calls)) == 2 * CELLS * 14
    for out in ("shared", "apart"):
        write_report(tmp_path / out)
    assert summary_without_times(tmp_path / "shared") == summary_without_times(tmp_path / "apart")


def test_batches_of_mixed_sizes_have_the_pixels_of_single_pictures(
    folder: Path, tmp_path: Path
) -> None:
    chosen = config(folder, batch_size=5)
    dataset = open_dataset(chosen.data, chosen.seed)
    worker = Worker(chosen, dataset, tmp_path / "out", {})
    samples = dataset.samples("test")
    assert len({dataset.size(sample) for sample in samples[8:13]}) == 2
    shards, _ = plans(folder)
    cells = dict.fromkeys(s.planned.cell for s in shards if s.planned.cell.family == "corruption")
    for cell in cells:
        planned = PlannedCell(cell, {}, (), CORRUPTIONS[cell.perturbation])
        together = worker.perturbed(planned, samples, None)  # type: ignore[arg-type]
        for sample, picture in zip(samples, together, strict=True):
            alone = CORRUPTIONS[cell.perturbation](
                dataset.picture(sample), int(cell.severity),
                seed=0, dataset=dataset.name, sample_id=sample.id,
            )  # fmt: skip
            np.testing.assert_array_equal(picture, alone)


def test_a_killed_sweep_leaves_files_that_the_next_one_reads(
    folder: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def killed(todo, arguments, workers):  # type: ignore[no-untyped-def]
        for count, shard in enumerate(execute(todo, arguments, workers)):
            yield shard
            if count == 5:  # clean twice, and two corruptions of the first classifier twice
                raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "execute", killed)
    with pytest.raises(KeyboardInterrupt):
        run(config(folder), out, Reporter(quiet=True))
    assert len(list((out / FOLDER).iterdir())) == 4
    assert len(calls) == 2 * 14
    monkeypatch.setattr(sweep, "execute", execute)
    run(config(folder), out, Reporter(quiet=True))
    assert len(calls) == len(set(calls)) == CELLS * 14
    assert not (out / FOLDER).exists()


def test_what_is_left_is_read_and_strangers_are_removed(folder: Path, tmp_path: Path) -> None:
    shards, dataset = plans(folder)
    sharing = Sharing(tmp_path, shards, dataset, 10**9)  # type: ignore[arg-type]
    files = {shard.file.name for shard in sharing.todo if shard.file}
    assert len(files) == CELLS * 2
    (tmp_path / FOLDER).mkdir()
    kept = tmp_path / FOLDER / min(files)
    for path in (kept, tmp_path / FOLDER / "stranger", tmp_path / FOLDER / ".x.1.tmp"):
        path.write_bytes(b"x")
    sharing = Sharing(tmp_path, shards, dataset, 10**9)  # type: ignore[arg-type]
    assert list((tmp_path / FOLDER).iterdir()) == [kept]
    readers = [shard for shard in sharing.todo if shard.file and shard.file.name == kept.name]
    assert {shard.planned.cell.classifier for shard in readers} == {"one", "two"}
    sharing.done(readers[0])
    assert kept.exists()
    sharing.done(readers[1])
    assert not kept.exists()


def test_a_small_disk_orders_the_work_in_blocks_that_fit(folder: Path, tmp_path: Path) -> None:
    shards, dataset = plans(folder, shards=1)
    wide = Sharing(tmp_path, shards, dataset, 10**9).todo  # type: ignore[arg-type]
    assert [replace(shard, file=None) for shard in wide] == shards
    size = max(shard.file.size for shard in wide if shard.file)
    todo = Sharing(tmp_path, shards, dataset, int(2.7 * size)).todo  # type: ignore[arg-type]
    assert len(todo) == len(shards)
    told = [f"{s.planned.cell.classifier} {s.planned.cell.perturbation}" for s in todo]
    assert told[-2:] == ["one shot_noise", "two shot_noise"]
    assert told[:3] == ["one clean", "one gaussian_noise", "one gaussian_noise"]


def test_files_never_take_more_than_the_budget(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, taken = tmp_path / "out", [0]

    def watched(todo, arguments, workers):  # type: ignore[no-untyped-def]
        for shard in execute(todo, arguments, workers):
            if (out / FOLDER).exists():
                taken.append(sum(path.stat().st_size for path in (out / FOLDER).iterdir()))
            yield shard

    monkeypatch.setattr(sweep, "execute", watched)
    make, budget = sweep.Sharing, 40_000
    monkeypatch.setattr(sweep, "Sharing", lambda out, todo, data, *_: make(out, todo, data, budget))
    monkeypatch.setattr(
        "bench.sweep.worker.corrupted", lambda folder, file, _: corrupted(folder, file, budget)
    )
    store = run(config(folder, shards=1), out, Reporter(quiet=True))
    assert 0 < max(taken) <= budget
    assert all(store.manifest(cell) for cell in store.planned())


def pictures(count: int = 5) -> list[np.ndarray | None]:
    return [np.full((4, 6 + i, 3), 40 * i, np.uint8) for i in range(count)]


def filled(folder: Path) -> SharedFile:
    file = SharedFile("f", sum(bytes_of(*p.shape[:2]) for p in pictures() if p is not None))
    with corrupted(folder, file, 10**6) as source:
        source.batch(3, lambda: pictures()[:3])
        source.batch(2, lambda: pictures()[3:])
    assert (folder / "f").stat().st_size == file.size
    return file


def test_what_is_read_is_what_was_written_and_can_be_written_to(tmp_path: Path) -> None:
    file = filled(tmp_path)

    def never() -> list[np.ndarray | None]:
        raise AssertionError

    with corrupted(tmp_path, file, 10**6) as source:
        found = [*source.batch(2, never), *source.batch(3, never)]
    for one, other in zip(found, pictures(), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one is not None and one.flags.writeable


@pytest.mark.parametrize("place", [0, 9, 30, -1])
def test_damage_costs_time_and_no_result(tmp_path: Path, place: int) -> None:
    file = filled(tmp_path)
    content = bytearray((tmp_path / "f").read_bytes())
    content[place] ^= 0xFF
    for damaged in (content, content[:-5]):
        (tmp_path / "f").write_bytes(damaged)
        with corrupted(tmp_path, file, 10**6) as source:
            found = [
                *source.batch(2, lambda: pictures()[:2]),
                *source.batch(3, lambda: pictures()[2:]),
            ]
        for one, other in zip(found, pictures(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_shard_that_fails_or_lacks_a_picture_leaves_no_file(tmp_path: Path) -> None:
    file = SharedFile("f", 1000)
    with pytest.raises(RuntimeError), corrupted(tmp_path, file, 10**6) as source:
        source.batch(5, pictures)
        raise RuntimeError
    with corrupted(tmp_path, file, 10**6) as source:
        assert source.batch(6, lambda: [*pictures(), None])[-1] is None
        source.batch(5, pictures)
    with corrupted(tmp_path, file, 999) as source:  # no room
        source.batch(5, pictures)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_ends_the_file_and_not_the_work(tmp_path: Path) -> None:
    with corrupted(tmp_path / "full", SharedFile("f", 10), 10**6) as source:
        source._handle.close()
        source._handle = open("/dev/full", "wb", buffering=0)  # noqa: PTH123, SIM115
        assert len(source.batch(5, pictures)) == 5
    assert not (tmp_path / "full" / "f").exists()


def test_one_classifier_shares_nothing(folder: Path, tmp_path: Path) -> None:
    shards, dataset = plans(folder)
    alone = [shard for shard in shards if shard.planned.cell.classifier == "one"]
    assert Sharing(tmp_path, alone, dataset, 10**9).todo == alone  # type: ignore[arg-type]


def test_two_processes_share(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(config(folder, workers=2, shards=3), out, Reporter(quiet=True))
    run(config(folder, corrupted_cache=0), tmp_path / "one", Reporter(quiet=True))
    for path in (out, tmp_path / "one"):
        write_report(path)
    assert summary_without_times(out) == summary_without_times(tmp_path / "one")
    assert Store(out).planned() and not (out / FOLDER).exists()
