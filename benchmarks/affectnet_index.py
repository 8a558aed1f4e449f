"""How long listing AffectNet takes, and how much memory: 290,000 samples in both layouts.

python -m benchmarks.affectnet_index [--samples 290000]

Pictures are hard links to one file, since a listing opens none; lists and npy files are as long as
the real ones. Each listing runs in a fresh process. Files are still in the system's memory when
they are read: a slow disk adds the time of a first read.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from hashlib import sha224
from pathlib import Path

import numpy as np

from bench.data.readers import LAYOUTS

PER_FOLDER = 300  # pictures in a numbered folder of the first release
JUNK_SHARE = 0.31  # rows whose expression is 8, 9 or 10: 127,000 beside 288,000
LINKS = 30_000  # to one file; file systems allow 32,000 or 65,000
LANDMARKS = ";".join(f"{50 + place * 1.37:.2f}" for place in range(136))


class Links:
    """Cheap copies of a file: hard links to it, and to fresh copies where too many."""

    def __init__(self, content: bytes, folder: Path) -> None:
        self.content, self.folder, self.count = content, folder, 0

    def to(self, path: str) -> None:
        """Make the file `path`."""
        source = self.folder / f"{id(self)}-{self.count // LINKS}"
        if self.count % LINKS == 0:
            source.write_bytes(self.content)
        os.link(source, path)
        self.count += 1


def write_first(root: Path, samples: int, scratch: Path) -> None:
    """Photographs in numbered folders and two lists, junk rows included."""
    pictures, lists = root / "Manually_Annotated_Images", root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    picture = Links(b"", scratch)
    rows = round(samples / (1 - JUNK_SHARE))
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    with (lists / "training.csv").open("w") as train, (lists / "validation.csv").open("w") as val:
        train.write(header + "facial_landmarks,expression,valence,arousal\n")
        for number in range(rows):
            if number % PER_FOLDER == 0:
                (pictures / str(number // PER_FOLDER)).mkdir(parents=True)
            name = sha224(str(number).encode()).hexdigest()
            path = f"{number // PER_FOLDER}/{name}.jpg"
            picture.to(f"{pictures}/{path}")
            junk = number % 100 < 100 * JUNK_SHARE
            expression = 8 + number % 3 if junk else number % 8
            box = f"{number % 400},{number % 300},{200 + number % 700},{200 + number % 700}"
            row = f"{path},{box},{LANDMARKS},{expression},0.123456,-0.654321\n"
            (val if number % 70 == 0 else train).write(row)


def write_8labels(root: Path, samples: int, scratch: Path) -> None:
    """Numbered pictures with four npy files each."""
    picture = Links(b"", scratch)
    expressions = [Links(_npy(np.array(str(k)), scratch), scratch) for k in range(8)]
    others = {
        "val": Links(_npy(np.array("0.123456"), scratch), scratch),
        "aro": Links(_npy(np.array("-0.654321"), scratch), scratch),
        "lnd": Links(_npy(np.zeros(136), scratch), scratch),
    }
    for folder in ("train_set", "val_set"):
        (root / folder / "images").mkdir(parents=True)
        (root / folder / "annotations").mkdir()
    for number in range(samples):
        folder = root / ("val_set" if number % 70 == 0 else "train_set")
        name = number + number // 3  # with gaps
        picture.to(f"{folder}/images/{name}.jpg")
        expressions[number % 8].to(f"{folder}/annotations/{name}_exp.npy")
        for kind, links in others.items():
            links.to(f"{folder}/annotations/{name}_{kind}.npy")


def _npy(value: np.ndarray, scratch: Path) -> bytes:
    np.save(scratch / "one.npy", value)
    return (scratch / "one.npy").read_bytes()


WRITERS = {"affectnet": write_first, "affectnet_8labels": write_8labels}


def list_once(kind: str, root: Path) -> None:
    """Prints what a listing took, its process included."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    listing = LAYOUTS[kind](root=root).listing()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{kind}: {len(listing.entries):,} samples listed in {seconds:.1f} s, "
        f"peak {peak / 2**10:.0f} MiB ({before / 2**10:.0f} of them before)"
    )


def main() -> None:
    """Make a tree in each layout and list it in a new process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=290_000)
    parser.add_argument("--list", nargs=2, metavar=("KIND", "ROOT"), help="only list a tree")
    options = parser.parse_args()
    if options.list:
        list_once(options.list[0], Path(options.list[1]))
        return
    for kind, write in WRITERS.items():
        with tempfile.TemporaryDirectory() as folder:
            root, scratch = Path(folder) / kind, Path(folder) / "scratch"
            scratch.mkdir()
            start = time.perf_counter()
            write(root, options.samples, scratch)
            print(f"{kind}: tree written in {time.perf_counter() - start:.0f} s", flush=True)
            command = [sys.executable, "-m", "benchmarks.affectnet_index", "--list", kind, root]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
