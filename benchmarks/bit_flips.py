"""Single bits of a finished run's files are flipped; none may change what is read without a word.

python benchmarks/bit_flips.py OUT [--flips 1000]

OUT is a small run (`bench run robustness -c smoke.yaml --out OUT`); every file is put back.
A flip is noticed if plan, manifest, cell, record of the data set or checkpoint is refused, harmless
if all that is read is as before (a space in JSON), silent otherwise.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.util.errors import UserError


def state(out: Path, path: Path) -> object:
    """What is read of a run, as far as `path` is concerned; None if something is refused."""
    try:
        parts = path.relative_to(out).parts
        if parts[0] == "checkpoints":
            return Card.verified(out / "checkpoints" / parts[1]).model_dump()
        store = Store(out)
        cells = [cell for cell in store.planned() if parts[0] != "cells" or cell.id == parts[2]]
        found = []
        for cell in cells if parts[0] == "cells" else cells[:1]:
            manifest = store.manifest(cell)
            if manifest is None or store.problem(manifest) is not None:
                return None
            data = cell.dataset, manifest.inputs["data"]
            samples = store.samples(*data)
            known = store.dataset(*data), None if samples is None else samples.to_json()
            found.append((manifest, store.rows(manifest).to_json(), known))
        return None if store.refused else (cells, found)
    except UserError:
        return None


def main() -> None:
    """Flip, read, put back, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--flips", type=int, default=1000)
    options = parser.parse_args()
    kinds: dict[str, list[Path]] = {}
    for folder in ("cells", "datasets", "checkpoints"):
        for path in sorted(p for p in (options.out / folder).rglob("*") if p.is_file()):
            if path.name not in ("training.jsonl", "README.md"):  # nothing reads them
                name = path.name.partition("-0")[0]
                kinds.setdefault(f"{folder}: {name}", []).append(path)
    kinds["plan.json"] = [options.out / "plan.json"]
    draws, counts = np.random.default_rng(0), Counter[tuple[str, str]]()
    for number in range(options.flips):
        kind = list(kinds)[number % len(kinds)]
        path = kinds[kind][draws.integers(len(kinds[kind]))]
        before, whole = state(options.out, path), path.read_bytes()
        damaged = bytearray(whole)
        damaged[draws.integers(len(whole))] ^= 1 << int(draws.integers(8))
        try:
            path.write_bytes(damaged)
            after = state(options.out, path)
        except Exception as error:
            counts[kind, f"traceback {type(error).__name__}"] += 1
            continue
        finally:
            path.write_bytes(whole)
        counts[kind, "noticed" if after is None else _same(before, after)] += 1
    for (kind, end), count in sorted(counts.items()):
        print(f"{kind:45s} {end:12s} {count}")
    total = Counter[str]()
    for (_, end), count in counts.items():
        total[end] += count
    print(f"all {options.flips}: {dict(total)}")
    sys.exit(any(end not in ("noticed", "harmless") for end in total))


def _same(before: object, after: object) -> str:
    return "harmless" if before == after else "silent"


if __name__ == "__main__":
    main()
