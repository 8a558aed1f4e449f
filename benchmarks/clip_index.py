"""How long, and in how much memory, is a data set of DFEW's size listed?

python -m benchmarks.clip_index [--clips 16372] [--keep DIR]

Makes DFEW's tree with empty files: 16,372 folders of 12 to 847 frames with a median of 70, split
files of 11,697 clips. Then lists it in a fresh process, which opens none of them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.util import rng

LABELLED = 11_697 / 16_372
_LIST = """
import resource, sys, time
from pathlib import Path
from bench.data.readers.dfew import Dfew
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started, worked = time.perf_counter(), time.process_time()
listing = Dfew(root=Path(sys.argv[1])).listing()
seconds, busy = time.perf_counter() - started, time.process_time() - worked
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = sum(entry.source.frame_count(listing.base) for entry in listing.entries)
print(f"{len(listing.entries):,} clips with {frames:,} frames listed in {seconds:.1f} s "
      f"({busy:.1f} s of a processor); peak memory {peak / 1024:.0f} MB, "
      f"{(peak - before) / 1024:.0f} MB of it for the listing")
"""


def write(root: Path, clips: int) -> int:
    """The tree; returns its number of frames."""
    draws = rng.generator("clip index")
    lengths = np.clip(np.exp(draws.normal(np.log(70), 0.5, clips)), 12, 847).astype(int)
    for number, length in enumerate(lengths, 1):
        folder = root / "Clip" / "clip_224x224" / f"{number:05d}"
        folder.mkdir(parents=True)
        for frame in range(1, length + 1):
            (folder / f"{number:05d}_{frame:05d}.jpg").touch()
    named = np.sort(draws.choice(clips, int(clips * LABELLED), replace=False)) + 1
    for split in ("train", "test"):
        members = [number for number in named if (number % 5 == 0) == (split == "test")]
        rows = "".join(f"{number},{number % 7 + 1}\n" for number in members)
        path = root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / "set_1.csv"
        path.parent.mkdir(parents=True)
        path.write_text("video_name,label\n" + rows)
    return int(lengths.sum())


def main() -> None:
    """Makes the tree, lists it three times, prints time and memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=16_372)
    parser.add_argument("--keep", type=Path, help="where the tree is made, and stays")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.keep or Path(scratch)
        if not (root / "Clip").exists():
            started = time.perf_counter()
            frames = write(root, arguments.clips)
            seconds = time.perf_counter() - started
            print(f"{arguments.clips:,} clips with {frames:,} frames made in {seconds:.0f} s")
        for _ in range(3):
            subprocess.run([sys.executable, "-c", _LIST, str(root)], check=True)


if __name__ == "__main__":
    main()
