"""`kill -9` at ten random moments of a small sweep, then the same command: is the summary the same?

python benchmarks/kill_and_resume.py [--kills 10] [--seed 0] [--suite dynamic -c smoke_dynamic]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path


def command(out: Path, suite: str, config: str) -> list[str]:
    """The run."""
    return [sys.executable, "-m", "bench", "run", suite, "-c", config, "--out", str(out)]


def summary(out: Path) -> list[list[str]]:
    """summary.csv without its timing column."""
    rows = [line.split(",") for line in (out / "report/summary.csv").read_text().splitlines()]
    timing = rows[0].index("seconds_per_image")
    return [row[:timing] + row[timing + 1 :] for row in rows]


def kill_once(run: list[str], out: Path, delay: float) -> int:
    """Start a run in `out`, kill it and its workers after `delay` seconds; parts stored by then."""
    process = subprocess.Popen(
        run,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return len(list(out.rglob("part-*.parquet")))


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suite", default="robustness")
    parser.add_argument("-c", "--config", default="smoke")
    arguments = parser.parse_args()
    run = partial(command, suite=arguments.suite, config=arguments.config)
    moments = random.Random(arguments.seed)
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        start = time.monotonic()
        subprocess.run(run(undisturbed), check=True, capture_output=True)
        whole = time.monotonic() - start
        print(f"undisturbed: {whole:.0f} s")
        for number in range(arguments.kills):
            out = Path(folder) / f"killed-{number}"
            delay = moments.uniform(0.1, 0.95) * whole
            parts = kill_once(run(out), out, delay)
            subprocess.run(run(out), check=True, capture_output=True)
            same = summary(out) == summary(undisturbed)
            different += not same
            verdict = "identical" if same else "DIFFERENT"
            print(f"killed after {delay:.1f} s with {parts} parts stored: {verdict}", flush=True)
    print(f"{arguments.kills - different} of {arguments.kills} summaries are identical")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
