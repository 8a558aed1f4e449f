"""summary.csv: exact columns and text, and bytes that do not depend on how rows were stored."""

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.report.results import read
from bench.report.write import summary_csv, summary_frame, summary_rows

Y, N = True, False
HEADER = (
    "classifier,dataset,perturbation,severity,seed,run_seed,n,accuracy,accuracy_low,accuracy_high,"
    "uar,uar_low,uar_high,macro_f1,macro_f1_low,macro_f1_high,d_p,d_p_low,d_p_high,"
    "evaluations_per_image,seconds_per_image"
)


def csv_of(out: Path) -> str:
    return summary_csv(summary_frame(read(out).complete))


def test_lines_by_hand(out: Path) -> None:
    lines = csv_of(out).splitlines()
    assert lines[0] == HEADER
    assert lines[1] == (
        "net,faces,clean,0,0,0,6,0.666667,0.299993,0.903229,0.666667,0.314862,0.896949,"
        "0.711111,0.331050,0.924493,,,,1.0,0.3500"
    )
    assert lines[5].startswith("emodc_x (denoiser check failed),faces,clean,0,0,0,6,0.833333,")
    assert lines[5].endswith(",0.437500,0.192086,0.682914,6.0,0.3500")
    assert [line.split(",")[3] for line in lines[1:5]] == ["0", "1", "2/255", "4/255"]
    assert len(lines) == 1 + 9


def test_bytes_do_not_depend_on_shards_or_row_order(new_build) -> None:
    # Values whose float64 sum depends on the order of summation.
    right, d_p = [Y, N, None, Y, Y, N, Y], [1e8, 1e-3, 0.1, -1e8, 0.7, 3e-5, 12345.678]
    texts = []
    for shards, order in ((1, range(7)), (3, range(7)), (3, [4, 0, 6, 2, 5, 1, 3])):
        build = new_build(f"{shards}-{order[0]}")
        build.add("emodc", "clean", "0", right, d_p=d_p, shards=shards, order=order)
        texts.append(csv_of(build.plan()))
    assert texts[0] == texts[1] == texts[2]
    assert "0.571429" in texts[0]


def test_a_value_missing_in_one_row_leaves_no_mean(build) -> None:
    build.add("emodc", "clean", "0", [Y, Y], d_p=[0.5, float("nan")])
    row = csv_of(build.plan()).splitlines()[1].split(",")
    assert row[HEADER.split(",").index("d_p")] == ""


def test_pandas_reads_it_back(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "summary.csv"
    path.write_text(csv_of(out))
    frame = pd.read_csv(path, dtype={"severity": str})
    assert frame["accuracy"].iloc[0] == pytest.approx(4 / 6, abs=1e-6)
    assert frame["d_p"].isna().sum() == 4  # the discriminative classifier's rows
    assert (frame["accuracy_low"] < frame["accuracy"]).all()
    assert (frame["accuracy"] < frame["accuracy_high"]).all()


def test_json_has_the_same_rows(out: Path) -> None:
    rows = json.loads(json.dumps(summary_rows(summary_frame(read(out).complete))))
    assert list(rows[0]) == HEADER.split(",")
    assert rows[0]["accuracy"] == 0.666667
    assert (rows[0]["d_p"], rows[4]["d_p"]) == (None, 0.4375)
    assert len(rows) == 9
