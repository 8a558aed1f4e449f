"""What is kept of a run can still be replayed."""

from pathlib import Path

import numpy as np
from made_up_traces import write_run

from bench.store.store import Store
from benchmarks.keep_results import keep


def test_kept_cells_are_those_of_the_run(tmp_path: Path) -> None:
    run, kept = write_run(tmp_path / "run"), tmp_path / "kept"
    cells = keep(run, kept, ["emodc"])
    assert [cell.family for cell in cells] == ["validation", "clean"]
    store, before = Store(kept), Store(run)
    assert store.planned() == cells
    for cell in cells:
        manifest = store.manifest(cell)
        assert manifest is not None and manifest == before.manifest(cell)
        assert np.array_equal(store.traces(manifest).errors, before.traces(manifest).errors)
