"""How often a sequential test misses the full decision, on the populations that the tests use.

PYTHONPATH=.:tests python benchmarks/decision_errors.py [--pictures 10000]

Prints the table of `docs/decisions.md`: errors, the upper end of their 95 % interval (Clopper &
Pearson) and the mean evaluations per picture, of 700.
"""

import argparse

from simulated_traces import POPULATIONS, Kind, disagreement

COLUMNS: list[tuple[Kind, float]] = [
    ("student", 0.05),
    ("student", 0.01),
    ("bounded", 0.05),
    ("bounded", 0.01),
]


def main() -> None:
    """Print one row per population."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=10_000)
    pictures = parser.parse_args().pictures
    print("| cells | " + " | ".join(f"{kind}, {delta:g}" for kind, delta in COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for name, population in POPULATIONS.items():
        found = [disagreement(population, delta, kind, pictures) for kind, delta in COLUMNS]
        cells = [
            f"{100 * f.wrong / pictures:.2f} % ({100 * f.upper:.2f}), {f.evaluations:.0f}"
            for f in found
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
