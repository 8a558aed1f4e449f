"""A report over a store of RAF-DB's size: 3,068 images x 20 classifiers x 100 cells.

python benchmarks/report_scale.py [--images 3068] [--classifiers 20] [--keep DIR]

Six million made-up rows with the class sizes of RAF-DB's test set; nothing in them was measured.
Prints the wall time and the peak memory of `bench report`, and the size of its page.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.store.cells import Cell, Gate, Manifest, identify
from bench.store.records import DatasetRecord
from bench.store.store import Store
from bench.store.traces import TraceInfo, Traces
from bench.util import rng

CLASSES = ["neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust"]
SHARES = np.array([680, 1185, 478, 329, 74, 162, 160]) / 3068  # of RAF-DB's test set
CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur"),
    *("snow", "frost", "fog", "brightness", "contrast"),
    *("elastic_transform", "pixelate", "jpeg_compression", "saturate", "spatter"),
)
GROUPS = {  # attributes of RAF-DB's annotation, dealt at random
    "gender": ["male", "female", "unsure"],
    "race": ["Caucasian", "African-American", "Asian"],
    "age": ["0-3", "4-19", "20-39", "40-69", "70+"],
}
SHARDS, STEPS, EMODCS = 2, 100, 4
NAME, DIGEST = "rafdb_like", "made up"
INFO = TraceInfo(
    kind="errors",
    classes=tuple(CLASSES),
    weighting="noise",
    prediction="epsilon",
    precision="float32",
    model="made up",
    seed=0,
    steps=STEPS,
)


def levels() -> Iterator[tuple[str, Literal["clean", "corruption", "attack"], str]]:
    """(perturbation, family, severity) of the hundred cells of a classifier."""
    yield "clean", "clean", "0"
    for name in CORRUPTIONS:
        for severity in range(1, 6):
            yield name, "corruption", str(severity)
    for eps in (1, 2, 4, 8):
        yield "pgd", "attack", f"{eps}/255"


def write_classifier(root: Path, images: int, number: int) -> list[Cell]:
    """All cells of one classifier; the first `EMODCS` are EmoDCs and have traces."""
    store, name = Store(root), f"classifier_{number:02d}"
    labels = np.repeat(np.arange(len(CLASSES)), _sizes(images))
    ids = _ids(images)
    emodc = number < EMODCS
    cells = []
    for perturbation, family, severity in levels():
        inputs = {"data": DIGEST, "perturbation": {"kind": perturbation}, "severity": severity}
        cell = Cell(
            id=identify(name, NAME, inputs),
            classifier=name,
            dataset=NAME,
            perturbation=perturbation,
            family=family,
            severity=severity,
            seed=0,
            run_seed=0,
        )
        draws = rng.generator("report scale", name, perturbation, severity)
        gap = (
            3.5 - 0.05 * number - (0.6 * cell.level if family == "corruption" else 90 * cell.level)
        )
        logits = draws.normal(size=(images, len(CLASSES))).astype(np.float32)
        logits[np.arange(images), labels] += max(gap, 0.0)
        rows = pd.DataFrame(
            {
                "sample_id": ids,
                "label": [CLASSES[k] for k in labels],
                "prediction": [CLASSES[k] for k in logits.argmax(axis=1)],
                "logits": list(logits),
                "d_p": draws.gamma(9, 0.025, images) if emodc else [None] * images,
                "evaluations": STEPS * len(CLASSES) if emodc else 1,
                "seconds": 0.01,
            }
        )
        traced = emodc and (family == "clean" or severity == "5")  # a report reads no others
        for shard, part in enumerate(np.array_split(np.arange(images), SHARDS)):
            traces, own = None, rows.iloc[part]
            if traced:
                traces = _traces(draws, [ids[i] for i in part], -logits[part])
                d_p = traces.errors[np.arange(len(part)), labels[part]].mean(1, dtype=np.float64)
                own = own.assign(d_p=d_p)
            store.write_part(cell, shard, own, traces, shards=SHARDS, classes=CLASSES)
        gate = Gate(passed=True, d_p=0.225, base_d_p=0.22) if emodc else None
        store.write_manifest(
            Manifest(
                cell=cell,
                classes=CLASSES,
                n=images,
                shards=SHARDS,
                checkpoint=f"made-up-{number:02d}",
                gate=gate,
                timesteps=list(range(STEPS)) if emodc else [],
                validation={},
                training={},
                inputs=inputs,
                environment={},
            )
        )
        cells.append(cell)
    return cells


def _sizes(images: int) -> list[int]:
    sizes = np.floor(SHARES * images).astype(int)
    sizes[0] += images - sizes.sum()
    return sizes.tolist()


def _traces(draws: np.random.Generator, ids: list[str], means: np.ndarray) -> Traces:
    noise = draws.normal(scale=0.5, size=(*means.shape, STEPS))
    errors = (0.25 + 0.01 * (means[:, :, None] + noise)).astype(np.float32)
    return Traces(
        tuple(ids), errors, np.tile(np.arange(0, 1000, 10, np.int32), (len(ids), 1)), INFO
    )


def write_store(root: Path, images: int, classifiers: int) -> None:
    """The whole store, a classifier per process."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        write = partial(write_classifier, root, images)
        cells = [cell for own in pool.map(write, range(classifiers)) for cell in own]
    Store(root).write_plan(cells, {})
    write_dataset(root, images)


def write_dataset(root: Path, images: int) -> None:
    """What the store knows of the data set, groups included."""
    sizes, draws = dict(zip(CLASSES, _sizes(images), strict=True)), rng.generator("report groups")
    samples = pd.DataFrame({"sample_id": _ids(images), "label": np.repeat(CLASSES, _sizes(images))})
    for name, values in GROUPS.items():
        samples[name] = draws.choice(values, images)
    record = DatasetRecord(
        name=NAME,
        digest=DIGEST,
        kind="made-up rows",
        synthetic=True,
        classes=CLASSES,
        counts={"train": {}, "val": {}, "test": sizes},
        height=(100, 100),
        width=(100, 100),
        groups=GROUPS,
        skipped=0,
    )
    Store(root).write_dataset(record, samples)


def _ids(images: int) -> list[str]:
    return [f"test_{i:04d}" for i in range(images)]


def main() -> None:
    """Make the store, report on it, say what that took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=3068)
    parser.add_argument("--classifiers", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="make or reuse the store here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "store"
        if not (root / "plan.json").exists():
            start = time.monotonic()
            write_store(root, options.images, options.classifiers)
            print(f"store written in {time.monotonic() - start:.0f} s")
        start = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "bench", "report", str(root)])
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        page = root / "report" / "index.html"
        size = f"{page.stat().st_size / 1e6:.1f} MB" if page.exists() else "none"
        print(f"bench report: {seconds:.0f} s, peak {used.ru_maxrss / 2**20:.2f} GiB, page {size}")
        sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
