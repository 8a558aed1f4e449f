"""`bench run SUITE`."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import AsJson, plan_content, print_json, report_content, tell
from bench.cli.target import Agreed, Data, Options, Root, chosen_data, settle_agreement
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.config import Config
    from bench.data.config import DataConfig
    from bench.paper import Experiment
    from bench.sweep.run import DryRun


class Suite(StrEnum):
    """What can be run."""

    robustness = "robustness"
    ablation = "ablation"
    dynamic = "dynamic"
    paper = "paper"
    steps = "steps"

    @property
    def config(self) -> Path:
        """What it runs without --config."""
        own = self in (Suite.ablation, Suite.dynamic)
        return Path(f"{self.value}.yaml" if own else "default.yaml")

    @property
    def out(self) -> Path:
        """Where its results go without --out; `steps` goes on with what `robustness` measured."""
        return Path("results/runs") / ("robustness" if self is Suite.steps else self.value)


#: Where `bench train` and `bench run robustness` look for each other's checkpoints.
DEFAULT_OUT = Suite.robustness.out


def run(
    suite: Annotated[Suite, typer.Argument(help="What to run.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="YAML file, or the name of a shipped one.",
            show_default="default.yaml; ablation.yaml, dynamic.yaml for these suites",
        ),
    ] = None,
    data: Data = None,
    root: Root = None,
    option: Options = None,
    agreed: Agreed = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of checkpoints and results.",
            show_default="results/runs/robustness; results/runs/SUITE for ablation and dynamic",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Test samples per cell.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:WHAT",
            help="A model to measure in place of the config's classifiers: hf:FOLDER_OR_ID, "
            "timm:NAME,checkpoint=FILE,classes=raf_db, onnx:FILE,classes=..., "
            "python:MODULE:FUNCTION, checkpoint:FOLDER, fer:fer, fer:face-api; NAME=... names it "
            "in tables. Repeatable.",
        ),
    ] = None,
    classifiers: Annotated[
        str | None,
        typer.Option(help="Only these of the config's, comma-separated; beside --model, too."),
    ] = None,
    perturbations: Annotated[
        str | None, typer.Option(help="Only these, comma-separated; clean is always measured.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Run seed; of training, too, unless the config names training seeds.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells and cost, do nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure everything anew; checkpoints are kept.")
    ] = False,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Worker I of N at one --out, numbered from 0: begins with its part of the work, "
            "then helps with the rest.",
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="tiny|small|full",
            help="Of `paper`: tiny tries everything in minutes, full needs accelerators.",
        ),
    ] = None,
    roots: Annotated[
        Path | None,
        typer.Option(help="Of `paper`: a YAML file with the folders of data sets, `raf_db: DIR`."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where work runs: processes, ray, or a plugin's name.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, such as auto or HOST:6379.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed, and is listed so.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Train what is missing, sweep noise, blur and attacks, report. The same command resumes.

    `ablation` trains EmoDC with several objectives and seeds and compares them with each other.
    `dynamic` is about clips: networks of clips beside classifiers of their frames.
    `paper` runs the experiments of configs/paper one after another, with one report of all data
    sets; what is not there is drawn (tiny, small) or left out and named (full).
    `steps` measures clean pictures alone, with several views for classifiers that have no steps,
    and prints accuracy by number of steps.
    """
    out = out or suite.out
    flags = limit, classifiers, perturbations, seed, device, model

    def settled(source: "Path | Config", chosen: "DataConfig | None") -> "Config":
        return _executed(configure(source, chosen, *flags), executor, address, worker)

    rest = out, agreed, dry_run, fresh, worker, retry_failed, json
    if suite is not Suite.paper:
        if scale is not None or roots is not None:
            raise UserError("--scale and --roots are for `bench run paper`.")
        own = settled(config or suite.config, chosen_data(data, root, option))
        if suite is Suite.steps:
            own = for_steps(own, perturbations is None)
        _carry_out(suite, [own], *rest)
        return
    if config is not None or option or worker is not None or json:
        raise UserError(
            "`bench run paper` is a run of each data set and takes no --config, --option, --worker "
            "or --json; `bench report --json` reads the results."
        )
    experiments = _experiments(scale, roots, data, root, out)
    _carry_out(suite, [settled(one.config, None) for one in experiments], *rest)


def _executed(
    config: "Config", executor: str | None, address: str | None, worker: str | None
) -> "Config":
    """The config with the flags that say where its shards are computed."""
    execution: dict[str, object] = {"executor": executor} if executor else {}
    if address is not None:
        execution |= {"executor": executor or "ray", "address": address}
    if worker is not None or execution.get("executor") == "ray":
        execution["errors"] = "record"  # the others go on
    updated = config.execution.model_copy(update=execution)
    return config.model_copy(update={"execution": updated})


def _experiments(
    scale: str | None, roots: Path | None, data: str | None, root: Path | None, out: Path
) -> list["Experiment"]:
    """Those of the paper that can be run; look-alikes are drawn now."""
    from bench import paper

    if scale is None:
        raise UserError("bench run paper: say how much of it, by --scale tiny, small or full.")
    if root is not None and data is None:
        raise UserError("--root says more about a data set; name it with --data.")
    known = paper.read_roots(roots) if roots is not None else {}
    known |= {data: root} if data is not None and root is not None else {}
    chosen = paper.Scale.named(scale)
    found, missing = paper.experiments(chosen, known, out, [data] if data is not None else [])
    for name, reason in missing.items():
        tell(f"left out: {name}: {reason}", err=True)
    for one in found:
        tell(f"{one.name}: {'drawn faces in its layout' if one.drawn else one.root}", err=True)
        paper.draw(one, chosen)
    return found


def _carry_out(
    suite: Suite,
    chosen: "Sequence[Config]",
    out: Path,
    agreed: bool,
    dry_run: bool,
    fresh: bool,
    worker: str | None,
    retry_failed: bool,
    json: bool,
) -> None:
    """Plan, or run and report: one run, or several that share a folder and its report."""
    for one in chosen:
        settle_agreement(one.data, agreed)
    if dry_run:
        for one in chosen:
            _plan(one, out, fresh, json)
        return

    from rich.console import Console

    from bench import api
    from bench.report import show
    from bench.sweep.run import require_ready
    from bench.util import runtime

    runtime.keep_freed_memory()
    with interruptible():
        for one in chosen if len(chosen) > 1 else ():
            require_ready(one, out)  # what is wrong with the last shows before the first begins
        for one in chosen:
            results = api.run(
                one,
                out,
                command=sys.argv[1:],
                fresh=fresh,
                worker=worker,
                retry_failed=retry_failed,
            )
        if suite is Suite.steps:
            _show_steps(out, list(chosen[0].classifiers), json)
            return
        report = results.report(workers=os.cpu_count() or 1)
        if json:
            print_json(report_content(report))
        else:
            show(report, Console())
        report.require_sound()


def _plan(chosen: "Config", out: Path, fresh: bool, json: bool) -> None:
    from bench.sweep.run import dry_run
    from bench.util.progress import Reporter

    own = [f"classifier {name!r}" for name, s in chosen.classifiers.items() if s.user_code]
    members = chosen.perturbations.members()
    own += [f"perturbation {p.name!r}" for p, _ in members if p.user_code]
    for what in own:
        tell(f"{what}: its own code is imported and tried", err=True)
    planned = dry_run(chosen, out, fresh, Reporter())
    if json:
        print_json(plan_content(planned))
    else:
        _print_plan(planned)


def configure(
    source: "Path | Config",
    data: "DataConfig | None",
    limit: int | None,
    classifiers: str | None,
    perturbations: str | None,
    seed: int | None,
    device: str | None,
    models: Sequence[str] | None = None,
) -> "Config":
    """A config, or that of a file, with the flags on top."""
    from bench.classifiers.kinds import entry
    from bench.config import load
    from bench.util import runtime

    given = load(source) if isinstance(source, Path) else source
    config = given.select(
        _names("--classifiers", classifiers), _names("--perturbations", perturbations)
    )
    updates: dict[str, object] = {}
    if models:
        kept = dict(config.classifiers) if classifiers else {}
        for name, spec in map(entry, models):
            if name in kept:
                raise UserError(f"--model: two classifiers are called {name}; write NAME=... .")
            kept[name] = spec
        updates["classifiers"] = kept
    if data is not None:
        updates["data"] = data
    if limit is not None:
        updates["limit"] = limit
    if seed is not None:
        updates["seed"] = seed
    if device is not None:
        known = runtime.known_device(device)
        updates["execution"] = config.execution.model_copy(update={"device": known})
    return config.model_copy(update=updates)


def for_steps(config: "Config", clean: bool) -> "Config":
    """What `bench run steps` measures.

    Args:
        config: As it is without.
        clean: Whether to measure clean pictures alone.

    Raises:
        UserError: If a classifier is to stop early on what is measured.
    """
    from bench.report.replay import TABLED_VIEWS

    for name, spec in config.classifiers.items():
        if spec.decision is not None and (spec.decides_on_clean or not clean):
            raise UserError(
                f"`bench run steps` needs all errors, and {name!r} stops early: leave "
                "`evaluation.decision` out of its config, or, for clean pictures alone, set "
                "`decide_on_clean: false` there."
            )
    config = config.select(perturbations=["clean"]) if clean else config
    return config.model_copy(update={"views": config.views or max(TABLED_VIEWS)})


def _show_steps(out: Path, classifiers: list[str], json: bool) -> None:
    """Accuracy by number of steps, from the traces that are there now."""
    from rich.console import Console

    from bench import decisions
    from bench.decisions import replay_run
    from bench.report.replay import by_steps

    found = replay_run(out, by_steps, classifiers)
    if json:
        print_json(decisions.as_json(found))
    else:
        decisions.show(found, Console())


def _names(flag: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"{flag} names nothing: {text!r}.")
    return names


def _print_plan(plan: "DryRun") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.util.errors import printable
    from bench.util.progress import duration

    table = Table(box=None, pad_edge=False)
    several = len({planned.cell.seed for planned, _, _ in plan.cells}) > 1
    for column in ("classifier", *(["seed"] if several else []), "perturbation", "severity"):
        table.add_column(column)
    table.add_column("samples", justify="right")
    table.add_column("estimate", justify="right")
    for planned, done, seconds in plan.cells:
        cell = planned.cell
        state = "done" if done else duration(seconds)
        n = str(len(planned.sample_ids))
        which = [cell.classifier, str(cell.seed)] if several else [cell.classifier]
        row = (*which, cell.condition, cell.severity, n, state)
        table.add_row(*(Text(printable(text)) for text in row))
    Console().print(table)
    for (name, seed), steps in plan.training.items():
        trained = f"{name}, seed {seed}" if several else name
        tell(f"train {trained}: {steps} steps")
    for name, reason in plan.left_out.items():
        tell(f"left out: {name}: {reason}")
    if plan.skipped:
        tell(f"{plan.skipped:,} file{'' if plan.skipped == 1 else 's'} will be skipped")
    _print_costs(plan)
    how = "from its measured speed" if plan.measured else "good to a factor of two"
    tell(f"{len(plan.cells)} cells, about {duration(plan.seconds)} on this machine ({how})")


def _print_costs(plan: "DryRun") -> None:
    """What is left to be done costs, by classifier and family."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.sweep.costs import ACCELERATORS, LARGE, UTILISATION
    from bench.util.errors import printable

    if not plan.expected:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("classifier", "family"):
        table.add_column(column)
    for column in ("evaluations", "disk", "here", *ACCELERATORS):
        table.add_column(column, justify="right", no_wrap=True)
    for one in plan.expected:
        evaluations = f"{one.evaluations:,.0f}" if one.evaluations else ""
        disk = f"{one.bytes / 1e6:,.1f} MB" if one.bytes else ""
        there = [_hours(one.on(name)) if one.flops else "" for name in ACCELERATORS]
        row = (one.classifier, one.family, evaluations, disk, _hours(one.seconds), *there)
        table.add_row(*(Text(printable(text)) for text in row))
    Console().print(table)
    tell(
        f"accelerators: at {UTILISATION:.0%} ({LARGE:.0%} for pretrained pipelines) of what their "
        "makers state for bfloat16; here: "
        "trainings on one core each; evaluations: with the early stop"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 36 else f"{seconds:.0f} s"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end with a sentence; pressed again, they do not disturb that."""
    from bench.util.errors import UserError
    from bench.util.runtime import ended_once

    try:
        with ended_once():
            yield
    except KeyboardInterrupt as interrupt:
        raise UserError("interrupted. The same command continues from here.", 1) from interrupt
