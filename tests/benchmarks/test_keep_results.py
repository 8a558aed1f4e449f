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
        earlier = before.manifest(cell)
        assert manifest is not None and earlier is not None
        assert manifest == earlier.model_copy(update={"files": manifest.files})
        halved, whole = store.traces(manifest), before.traces(earlier)
        assert halved is not None and whole is not None and halved.info.dtype == "float16"
        np.testing.assert_allclose(halved.errors, whole.errors, rtol=1e-3)
        assert store.rows(manifest).equals(before.rows(earlier))


def test_what_is_kept_names_no_place(tmp_path: Path) -> None:
    run, kept = write_run(tmp_path / "run"), tmp_path / "kept"
    store = Store(run)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        command = f"bench run robustness --out {run} --classifiers emodc"
        store.write_manifest(manifest.model_copy(update={"command": command}))
    (clean,) = (c for c in keep(run, kept, ["emodc"]) if c.family == "clean")
    found = Store(kept).manifest(clean)
    assert found is not None and found.command == "bench run robustness --classifiers emodc"
