"""Prints what corrupting costs beside reading, decoding and classifying.

Run from the root of the repository: `python -m benchmarks.corruption_pipeline`.

The 19 corruptions of the preset `imagecorruptions` at 5 severities make 95 sets of 500 drawn faces
(64 px). All are generated here, in one thread. Beside it stand two costs of a plain pipeline, which
opens, decodes and classifies (ResNet-18, one picture at a time, one thread) every picture of every
set: they are measured on the clean set and multiplied by 95; the corruption by the package
imagecorruptions that such a pipeline would add is measured on ten faces of every set. The weights
are random: they change no time.
"""

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecorruptions
import numpy as np
import torch
from PIL import Image

from baselines.networks import FaceClassifier
from bench import faces
from bench.data.images import read_picture
from bench.perturb import PRESETS
from bench.util import runtime

FACES = 500
FEW = 10  # faces of each set that the package corrupts
CORRUPTIONS = PRESETS["imagecorruptions"].corruptions
SETS = sum(len(corruption.levels) for corruption in CORRUPTIONS.values())


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def generate(pictures: np.ndarray) -> None:
    """All corrupted sets, one after the other."""
    ids = [str(i) for i in range(len(pictures))]
    for corruption in CORRUPTIONS.values():
        for severity in corruption.severities:
            corruption.batch(pictures, severity, seed=0, dataset="faces", sample_ids=ids)


def generate_by_package(pictures: np.ndarray) -> None:
    """The same, by imagecorruptions, picture by picture."""
    for name, corruption in CORRUPTIONS.items():
        for severity in corruption.severities:
            for picture in pictures:
                imagecorruptions.corrupt(picture, severity, name.rpartition(".")[2])


def classify(model: FaceClassifier, pictures: list[np.ndarray]) -> None:
    """Picture by picture, in the value range and layout of the bench."""
    with torch.no_grad():
        for picture in pictures:
            model(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255.0)


def main() -> None:
    """Prints seconds for all sets, for PNG and JPEG files."""
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    drawn = np.stack([faces.draw(faces.sample_face(0, "speed", i)) for i in range(FACES)])
    model = FaceClassifier("resnet18", faces.EXPRESSIONS).eval()
    generate(drawn[:1])  # compiles
    generate_by_package(drawn[:1])
    with runtime.one_thread(), tempfile.TemporaryDirectory() as folder:
        ours = seconds(lambda: generate(drawn))
        package = seconds(lambda: generate_by_package(drawn[:FEW])) * FACES / FEW
        classify(model, list(drawn[:20]))
        classifying = SETS * seconds(lambda: classify(model, list(drawn)))
        print(f"{SETS} sets of {FACES} faces, one thread, seconds:")
        print(f"corrupted here               {ours:8.1f}")
        print(f"corrupted by the package     {package:8.1f}")
        print(f"classified one by one        {classifying:8.1f}")
        for suffix in (".png", ".jpg"):
            paths = [Path(folder, f"{i}{suffix}") for i in range(FACES)]
            for path, picture in zip(paths, drawn, strict=True):
                Image.fromarray(picture).save(path)
            reading = SETS * seconds(lambda paths=paths: [read_picture(path) for path in paths])
            print(f"{suffix} read and decoded        {reading:8.1f}")


if __name__ == "__main__":
    main()
