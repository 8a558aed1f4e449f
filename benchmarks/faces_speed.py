"""Prints how many faces one core samples and draws per second of its own time.

Run from the root of the repository: `python -m benchmarks.faces_speed`.
"""

import statistics
import time

import cv2

from bench.faces import generate

REPEATS = 5
IMAGES = 200


def main() -> None:
    """Draws 200 faces five times and prints the median speed and the range."""
    cv2.setNumThreads(1)
    speeds = []
    for repeat in range(REPEATS):
        first = repeat * IMAGES
        started = time.process_time()
        generate(0, "speed", range(first, first + IMAGES))
        speeds.append(IMAGES / (time.process_time() - started))
    print(
        f"{statistics.median(speeds):.0f} images/s on one core "
        f"({min(speeds):.0f}-{max(speeds):.0f} over {REPEATS} repeats of {IMAGES})"
    )


if __name__ == "__main__":
    main()
