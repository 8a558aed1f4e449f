"""Reading a store: order, names, missing and damaged cells, groups, baselines on a subset."""

from pathlib import Path

import pytest
from made_up_cells import IGNORES, restated
from scipy.stats import ttest_1samp

from bench.report import display_name
from bench.report.results import read
from bench.store.cells import Gate
from bench.util.errors import UserError

Y, N = True, False
D_P = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]  # of the fixture `out`


def keys(out: Path) -> list[tuple[str, str, str]]:
    found = read(out).complete
    return [(r.cell.classifier, r.cell.perturbation, r.cell.severity) for r in found]


def test_order_is_classifier_family_perturbation_severity(out: Path) -> None:
    sweep = [("clean", "0"), ("gaussian_noise", "1"), ("gaussian_noise", "2")]
    sweep += [("pgd", "2/255"), ("pgd", "4/255")]
    expected = [(c, *point) for c in ("net", "emodc_x") for point in sweep]
    expected.remove(("net", "gaussian_noise", "2"))
    assert keys(out) == expected


def test_severities_sort_as_numbers(build) -> None:
    for eps in ("16/255", "2/255", "8/255"):
        build.add("net", "pgd", eps, [Y])
    assert [severity for *_, severity in keys(build.plan())] == ["2/255", "8/255", "16/255"]


def test_metrics_by_hand(out: Path) -> None:
    net, emodc = (r for r in read(out).complete if r.cell.family == "clean")
    # net: happy 2/2, sad 1/2 (a tie), angry 1/2; predictions happy 3, sad 1, angry 1.
    assert net.n == 6
    assert net.accuracy.value == pytest.approx(4 / 6)
    assert net.uar.value == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert net.macro_f1.value == pytest.approx((4 / 5 + 2 / 3 + 2 / 3) / 3)
    assert (net.d_p, net.evaluations) == (None, 1.0)
    assert net.seconds == pytest.approx(0.35, abs=1e-6)
    assert (emodc.d_p.value, emodc.evaluations) == (0.4375, 6.0)
    low, high = ttest_1samp(D_P, 0).confidence_interval()
    assert (emodc.d_p.interval.low, emodc.d_p.interval.high) == pytest.approx((low, high))


def test_missing_cells_are_listed_not_fatal(out: Path) -> None:
    (missing,) = read(out).missing
    assert str(missing) == "net on faces, gaussian_noise 2, seed 0: not finished"


def test_a_damaged_part_makes_its_cell_missing(build) -> None:
    build.add("net", "clean", "0", [Y])
    cell = build.add("net", "fog", "1", [Y])
    (build.store.folder(cell) / "part-00000-of-00001.parquet").write_bytes(b"PAR1")
    results = read(build.plan())
    assert [r.cell.perturbation for r in results.complete] == ["clean"]
    assert "part-00000-of-00001.parquet is not the file that was written" in str(results.missing[0])


def test_rows_that_were_not_promised_make_a_cell_missing(build) -> None:
    build.add("net", "clean", "0", [Y])
    cell = build.add("net", "fog", "1", [Y, Y])
    manifest = build.store.manifest(cell)
    build.store.write_manifest(manifest.model_copy(update={"n": 3}))
    (missing,) = read(build.plan()).missing
    assert "holds 2 rows of 2 samples, promised 3" in missing.reason


def test_a_sample_counted_twice_makes_a_cell_missing(build) -> None:
    build.add("net", "clean", "0", [Y])
    cell = build.add("net", "fog", "1", [Y, Y])
    manifest = build.store.manifest(cell)
    build.store.write_part(cell, 0, build.store.rows(manifest).assign(sample_id="s000"))
    build.store.write_manifest(manifest.model_copy(update={"files": None}))
    (missing,) = read(build.plan()).missing
    assert "2 rows of 1 samples" in missing.reason


def test_a_label_that_is_no_class_makes_a_cell_missing(build) -> None:
    build.add("net", "clean", "0", [Y])
    build.add("net", "fog", "1", [Y, Y, Y], classes=["happy", "sad", "neutral"])
    (missing,) = read(build.plan()).missing
    assert "predictions that are not the highest of their logits" in missing.reason


def test_no_plan_and_nothing_complete_are_user_errors(build, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plan\.json"):
        read(tmp_path / "nowhere")
    build.plan_only("net", "clean", "0", "faces", 0)
    with pytest.raises(UserError, match="no complete cell of the 1 planned") as caught:
        read(build.plan())
    assert caught.value.exit_code == 1


def test_only_a_failed_check_changes_the_name() -> None:
    passed = Gate(passed=True, d_p=0.2, base_d_p=0.2)
    failed = Gate(passed=False, d_p=0.5, base_d_p=0.2)
    assert display_name("net", [None]) == display_name("net", []) == "net"
    assert display_name("emodc", [passed]) == "emodc"
    assert display_name("emodc", [passed, failed]) == "emodc (denoiser check failed)"
    deaf = passed.model_copy(update={"conditioning": IGNORES})
    assert display_name("emodc", [passed, deaf]) == "emodc (conditioning check failed)"
    assert (
        display_name("emodc", [failed, deaf]) == "emodc (denoiser and conditioning checks failed)"
    )
    hears = IGNORES.model_copy(update={"passed": True})
    assert display_name("emodc", [passed.model_copy(update={"conditioning": hears})]) == "emodc"


def test_the_baseline_is_over_the_attacked_samples(build) -> None:
    build.add("net", "clean", "0", [N, N, Y, Y, N, Y])
    build.add("net", "pgd", "2/255", [Y, N, N], first=2)  # samples 2, 3, 4
    (group,) = read(build.plan()).groups
    baseline = group.baseline("net", "pgd")
    assert baseline is not None
    assert (baseline.n, baseline.accuracy.value) == (3, pytest.approx(2 / 3))
    reference = group.reference("net", "pgd")
    assert reference is not None and (reference.n, reference.uar) == (3, baseline.uar)


@pytest.mark.parametrize(
    "attacked", [{"2/255": 4}, {"2/255": 0, "4/255": 1}], ids=["beyond clean", "different"]
)
def test_no_baseline_on_other_samples(build, attacked: dict[str, int]) -> None:
    build.add("net", "clean", "0", [Y] * 6)
    for eps, first in attacked.items():
        build.add("net", "pgd", eps, [Y, N, N], first=first)
    (group,) = read(build.plan()).groups
    assert group.baseline("net", "pgd") is None


def test_the_mean_needs_every_planned_severity(out: Path) -> None:
    (group,) = read(out).groups
    assert group.mean("net", "gaussian_noise") is None
    mean = group.mean("emodc_x", "gaussian_noise")
    assert mean is not None
    assert mean.value == pytest.approx((4 / 6 + 2 / 6) / 2)
    # Six images, not twelve pairs: Wilson's interval of 3 of 6.
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.1876, 0.8124), abs=1e-4)


def test_data_sets_and_run_seeds_never_share_a_group(build) -> None:
    build.add("net", "clean", "0", [Y])
    build.add("net", "clean", "0", [N], seed=1, run_seed=1)
    build.add("net", "clean", "0", [N], dataset="raf/db")
    groups = read(build.plan()).groups
    assert [g.slug for g in groups] == ["faces-seed0", "faces-seed1", "raf/db"]
    assert [len(g.results) for g in groups] == [1, 1, 1]
    assert groups[2].file_name("clean") == "raf-db-clean"


def test_cells_for_decisions_stand_apart_and_are_missed_when_unfinished(build) -> None:
    build.add("net", "clean", "0", [Y, N])
    build.add("net", "fog", "1", [Y, N])
    clean = build.add("emodc_x", "clean", "0", [Y, Y], d_p=[0.1, 0.2])
    for family, severity in (("validation", "0"), ("views", "20")):
        apart = restated(build.store, clean, cell={"family": family, "severity": severity})
        unfinished = apart.model_copy(update={"classifier": "net", "id": f"{family}-net"})
        build.cells += [apart, unfinished]
    results = read(build.plan())
    (group,) = results.groups
    assert {r.cell.family for r in results.complete} == {"clean", "corruption"}
    assert {c.family for c in group.planned} == {"clean", "corruption"}
    assert [r.cell.family for r in (*group.validation, *group.views)] == ["validation", "views"]
    assert (results.validation, results.views) == (group.validation, group.views)
    assert results.finished == 5
    told = [str(missing) for missing in results.missing]
    assert len(told) == 2 and "clean, validation split, seed 0: not finished" in told[0]
    assert "clean, TTA 20, seed 0: not finished" in told[1]
