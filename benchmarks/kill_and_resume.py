"""`kill -9` at ten random moments of a small sweep, then the same command: is the summary the same?

python benchmarks/kill_and_resume.py [--kills 10] [--seed 0]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(out: Path) -> list[str]:
    """The run."""
    return [sys.executable, "-m", "bench", "run", "robustness", "-c", "smoke", "--out", str(out)]


def summary(out: Path) -> list[list[str]]:
    """summary.csv without its timing column."""
    rows = [line.split(",") for line in (out / "report/summary.csv").read_text().splitlines()]
    timing = rows[0].index("seconds_per_image")
    return [row[:timing] + row[timing + 1 :] for row in rows]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed = Path(folder) / "undisturbed", Path(folder) / "disturbed"
        start = time.monotonic()
        subprocess.run(command(undisturbed), check=True, capture_output=True)
        whole = time.monotonic() - start
        print(f"undisturbed: {whole:.0f} s")
        kills = 0
        while kills < arguments.kills:
            process = subprocess.Popen(
                command(disturbed),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            delay = moments.uniform(2.0, 0.9 * whole)
            time.sleep(delay)
            finished = process.poll() is not None
            if not finished:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
            parts = len(list(disturbed.rglob("part-*.parquet")))
            print(f"kill {kills} after {delay:.1f} s: {parts} parts" + " (finished)" * finished)
            if finished:
                break
        subprocess.run(command(disturbed), check=True, capture_output=True)
        same = summary(undisturbed) == summary(disturbed)
        print(f"{kills} kills: summary.csv is {'identical' if same else 'DIFFERENT'}")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
