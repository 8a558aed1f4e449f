"""What is paired; what must not be compared is refused."""

from pathlib import Path

import pytest
from comparisons import N, compared, outcomes

from bench.report.compare import compare, pair, sides
from bench.util.errors import UserError


def test_runs_are_paired_by_classifier(run: Path, new_build) -> None:
    build = new_build("again")
    build.add("other", "noise", "2", outcomes("net", "noise", "2"))
    build.add("other", "rain", "1", [True] * N)
    again = build.plan()
    pairing = pair(*sides(str(run), str(again), Path()))
    assert [(p.where.classifiers, p.where.perturbation) for p in pairing.pairs] == [
        (("other", "other"), "noise")
    ]
    assert pairing.alone == (9, 1)
    named = pair(*sides(f"{run}:net", f"{again}:other", Path()))
    assert [str(p.where) for p in named.pairs] == ["net and other on faces, noise 2"]
    assert compare(named.pairs)[0].difference.value == 0


def test_a_failed_gate_is_named(out: Path) -> None:
    row = compared("net", "emodc_x", out)["clean"]
    assert row.names == ("net", "emodc_x (denoiser check failed)")


def refusal(build, other, changes: dict[str, object]) -> str:
    """What is said of a cell whose manifest has other inputs in the second run."""
    for each in (build, other):
        each.add("net", "clean", "0", [True, False])
    cell = other.add("net", "noise", "1", [True, False])
    build.add("net", "noise", "1", [True, False])
    if "inputs" in changes:
        other.restate(cell, **changes)
    else:
        manifest = other.store.manifest(cell)
        other.store.write_manifest(manifest.model_copy(update=changes))
    pairing = pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert [p.where.perturbation for p in pairing.pairs] == ["clean"]
    ((where, reason),) = pairing.refused.items()
    assert str(where) == "net on faces, noise 1"
    return reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": {"data": "abc"}}, ["contents of the data sets", "None in A, abc in B"]),
        ({"inputs": {"perturbation": {"sigma": 2}}}, ["perturbation's parameters"]),
        ({"n": 3}, ["holds 2 rows of 2 samples, promised 3"]),
    ],
)
def test_other_inputs_are_refused(build, new_build, changes, words: list[str]) -> None:
    reason = refusal(build, new_build("b"), changes)
    assert all(word in reason for word in words), reason


def test_other_parameters_are_named(build, new_build) -> None:
    other = new_build("b")
    for each, sigma in ((build, 1), (other, 2)):
        cell = each.add("net", "noise", "1", [True, False])
        inputs = {"perturbation": {"sigma": sigma, "version": 1}}
        each.restate(cell, inputs=inputs)
    with pytest.raises(UserError, match="sigma: 1 in A, 2 in B") as error:
        pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert "version" not in str(error.value)


def test_other_samples_and_labels_are_refused(build, new_build) -> None:
    other = new_build("b")
    build.add("net", "clean", "0", [True] * 6)
    other.add("net", "clean", "0", [True] * 4, first=3)
    build.add("net", "noise", "1", [True] * 6)
    other.add("net", "noise", "1", [True] * 6, first=0, classes=["happy", "angry", "sad"])
    build.add("net", "noise", "2", [True] * 6)
    # Samples 1 to 6 renamed to 0 to 5: labels no longer belong to their ids.
    cell = other.add("net", "noise", "2", [True] * 7)
    manifest = other.store.manifest(cell)
    rows = other.store.rows(manifest).iloc[1:].copy()
    rows["sample_id"] = [f"s{i:03d}" for i in range(6)]
    other.store.write_part(cell, 0, rows)
    other.store.write_manifest(manifest.model_copy(update={"n": 6, "files": None}))
    pairing = pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert [p.where.severity for p in pairing.pairs] == ["1"]  # another order of classes is none
    samples, labels = pairing.refused.values()
    assert samples == "not the same samples: A has 6, B has 4, 3 are in both"
    assert labels == "6 of 6 samples have different labels"


def test_unfinished_cells_and_foreign_seeds_are_refused(new_build) -> None:
    one, other = new_build("a"), new_build("b")
    for build, numbers in ((one, (0, 1)), (other, (2, 3))):
        for seed in numbers:
            build.add("net", "clean", "0", [True, False], seed=seed)
        build.add("net", "noise", "1", [True, False])
    one.add("net", "noise", "2", [True, False])
    other.plan_only("net", "noise", "2", "faces", 0)
    pairing = pair(*sides(str(one.plan()), str(other.plan()), Path()))
    assert list(pairing.refused.values()) == [
        "no training seed in common: A has 0, 1, B has 2, 3",
        "not finished in B",
    ]


def test_refusals_are_told_by_reason(bench, run: Path, new_build) -> None:
    build = new_build("unfinished")
    build.add("net", "clean", "0", outcomes("net", "clean", "0"))
    for severity in ("1", "2"):
        build.plan_only("net", "noise", severity, "faces", 0)
    code, out, _ = bench(run, build.plan())
    assert code == 0
    assert out.splitlines()[-1] == (
        "not compared: net on faces, noise 1 and 1 more: not finished in B"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nett", "other"), ["no classifier of", "'nett'", "Did you mean net"]),
        (("{run}:oter", "net"), ["Did you mean other"]),
        (("{run}", "net"), ["whole run", "net, other"]),
        (("{run}/cells", "net"), ["holds no run"]),
        (("nowhere:net", "net"), ["nowhere holds no run"]),
        (("{run}", "{strange}"), ["no cell in common", "has third on faces under rain"]),
        (("net", "other", "--save", "table.pdf"), [".md, .csv, .json, .tex"]),
    ],
)
def test_mistakes_are_sentences(bench, run: Path, new_build, arguments, words) -> None:
    build = new_build("strange")
    build.add("third", "rain", "1", [True])
    names = {"run": run, "strange": build.plan()}
    code, out, err = bench(*(text.format(**names) for text in arguments), "--out", run)
    assert (code, out) == (2, "")
    assert all(word in err for word in words), err


def test_no_run_at_all(bench, tmp_path: Path) -> None:
    code, _, err = bench("net", "other", "--out", tmp_path)
    assert code == 2 and "--out" in err and str(tmp_path) in err
