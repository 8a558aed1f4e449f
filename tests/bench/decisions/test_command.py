"""How `bench decide` is called, and how it ends."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_refused
from made_up_cells import restated
from made_up_traces import errors, write_run, write_traces
from rich.console import Console

from bench import decisions
from bench.decisions import chosen_rules, replay_run
from bench.rules import RULES
from bench.store.store import Store


def refused(outcome: tuple[int, str, str], *words: str, code: int = 2) -> None:
    assert outcome[1] == ""
    assert_refused((outcome[0], outcome[2]), *words, code=code)


def test_a_pipe_gets_a_line_per_rule(bench, run: Path) -> None:
    code, out, err = bench(run)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    emodc = [line for line in lines if line.startswith("emodc, faces, clean, ")]
    assert len(emodc) == len(RULES) + 1 and "bounded test" in emodc[-1]
    assert all("accuracy " in line and "n 60" in line for line in emodc)
    # That the full decision agrees with itself is no finding.
    assert [line for line in emodc if "agreement" not in line] == emodc[:1]
    # Views have no validation trace, hence no bound; that is said, once.
    assert sum("net: no complete cell" in line for line in lines) == 1


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_number_is_cut_on_a_terminal(run: Path, width: int) -> None:
    found = replay_run(run, lambda _: list(RULES.values()), pictures=["all"])
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=True, color_system=None)
    decisions.show(found, console)
    shown = text.getvalue()
    for place in found.places:
        for rule in place.rules:
            agreement = rule.agreement  # None of the full decision itself
            assert agreement is None or (agreement.number in shown and agreement.range in shown)
    assert "fog 2, faces" in shown


def test_unknown_names_have_neighbours(bench, run: Path) -> None:
    refused(bench(run, "--rule", "sequentail"), "sequentail", "sequential")
    refused(bench(run, "--classifier", "emodcc"), "emodcc", "Did you mean emodc")
    refused(bench(run, "--perturbation", "fgo"), "fgo", "fog")
    refused(bench(run, "--perturbation", "fog:7"), "fog:7", "fog:1")
    refused(bench(run, "--rule", "sequential", "-o", "delt=1"), "delt", "delta")


def test_fields_belong_to_one_rule_and_are_checked(bench, run: Path) -> None:
    refused(bench(run, "-o", "delta=0.1"), "--rule")
    refused(bench(run, "--rule", "full", "--rule", "vote", "-o", "count=1"), "single rule")
    refused(bench(run, "--rule", "sequential", "-o", "delta"), "FIELD=VALUE")
    refused(bench(run, "--rule", "sequential", "-o", "delta=2"), "delta", "less than 1")
    refused(bench(run, "--rule", "stages", "-o", "keep=[[20, 2], [10, 1]]"), "ascend")
    refused(bench(run, "--rule", "vote", "-o", "x=1"), "has no fields")
    wrong = ("--rule", "sequential", "-o", "bet=bounded", "-o", "order=stratified")
    refused(bench(run, *wrong), "exact for `order: random` only")
    refused(bench(run, "--rule", "full", "-o", "count=1", "-o", "count=2"), "twice")
    refused(bench(run, "--weights", "fitted", "--range", "fitted"), "choose one")
    refused(bench(run, "--save", "table.xls"), "table.xls", ".csv")
    (rule,) = chosen_rules(["stages"], ["keep=[[10, 2], [40, 1]]"])
    assert rule.rule().looks(40) == (10, 40)


def test_what_cannot_be_replayed_is_refused_or_noted(bench, run: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    stopped = errors(1)
    stopped[0, 1, 5:] = np.nan
    early = {"evaluation": {"decision": {"kind": "sequential"}}}
    infinite = errors(4)
    infinite[3, 2, 1] = np.inf
    cells = [
        write_traces(store, "emodc", errors(2)),
        write_traces(store, "stopped", stopped, inputs=early),
        write_traces(store, "diverged", infinite),
        write_traces(store, "net", errors(3), timesteps=[]),  # a clean cell without a trace
    ]
    store.write_plan(cells, {})
    code, out, _ = bench(tmp_path)
    assert code == 0
    assert "stopped on clean: its trace is not complete" in out
    assert "diverged on clean: its trace has values that are no finite numbers" in out
    assert "emodc: no complete cell of validation pictures" in out and "bounded" in out
    refused(bench(tmp_path, "--classifier", "stopped"), "not complete", code=1)
    refused(bench(tmp_path, "--classifier", "net"), "bench run steps", code=1)
    bounded = ("--rule", "sequential", "-o", "bet=bounded")
    refused(bench(tmp_path, "--classifier", "emodc", *bounded), "validation", code=1)
    weighted = bench(tmp_path, "--classifier", "emodc", "--weights", "fitted")
    refused(weighted, "validation pictures", code=1)
    refused(bench(tmp_path / "nowhere"), "no run")


def test_damaged_validation_pictures_take_no_other_rule_along(bench, tmp_path: Path) -> None:
    store = Store(write_run(tmp_path))
    (cell,) = (cell for cell in store.planned() if cell.family == "validation")
    next(store.folder(cell).glob("part-*.parquet")).unlink()
    code, out, _ = bench(tmp_path, "--classifier", "emodc")
    assert code == 0 and out.count("emodc, faces, clean, ") == len(RULES)
    assert "emodc: no complete cell of validation pictures" in out


def test_other_noise_must_be_other_noise_on_the_same_pictures(
    bench, run: Path, tmp_path: Path
) -> None:
    emodc = ("--classifier", "emodc", "--rule", "full", "--independent")
    refused(bench(run, *emodc, run), "same noise", "noise_seed", code=1)
    refused(bench(run, *emodc, tmp_path), "no run")
    store = Store(tmp_path / "strange")
    inputs = {"data": "d2", "weights": "emodc", "perturbation": {"name": "clean"}}
    store.write_plan([write_traces(store, "emodc", errors(5), inputs=inputs)], {})
    refused(bench(run, *emodc, store.root), "contents of the data sets differ", code=1)
    coarse = Store(tmp_path / "coarse")
    inputs = {"data": "d1", "weights": "emodc", "perturbation": {"name": "clean"}}
    inputs |= {"evaluation": {"steps": 10, "noise_seed": 1}}
    coarse.write_plan([write_traces(coarse, "emodc", errors(5, steps=10), inputs=inputs)], {})
    refused(bench(run, *emodc, coarse.root), "settings of evaluation differ", code=1)
    away = Store(tmp_path / "away")
    away.write_plan([write_traces(away, "emodc", errors(5), first=500)], {})
    refused(bench(run, *emodc, away.root), "none of its pictures", code=1)
    noisy = write_run(tmp_path / "noisy", noise=1)
    again = Store(noisy)
    seeded = [restated(again, cell, cell={"run_seed": 1}) for cell in again.planned()]
    (noisy / "plan.json").unlink()
    again.write_plan(seeded, {})
    fog = bench(run, *emodc, noisy, "--perturbation", "fog")
    refused(fog, "run seeds differ", code=1)
    assert bench(run, *emodc, noisy)[0] == 0  # clean pictures of files are the same


def test_attacks_have_no_counterpart_under_other_noise(bench, tmp_path: Path) -> None:
    for name, noise in (("mine", 5), ("other", 6)):
        store = Store(tmp_path / name)
        store.write_plan(
            [write_traces(store, "emodc", errors(noise), "pgd", "1/255", "attack")], {}
        )
    pgd = ("--perturbation", "pgd", "--independent", tmp_path / "other")
    refused(bench(tmp_path / "mine", *pgd), "attacked pictures differ", code=1)


def test_no_network_is_loaded(run: Path) -> None:
    code = (
        "import sys; sys.argv = ['bench', 'decide', sys.argv[1], '--json']\n"
        "from bench.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
