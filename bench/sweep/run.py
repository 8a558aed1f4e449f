"""The command behind a number: what was typed, narrowed to one cell."""

import itertools
import platform
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench import plugins
from bench.classifiers import checkpoints
from bench.classifiers.base import Classifier
from bench.classifiers.check import require_class_order
from bench.classifiers.kinds import kind_of
from bench.config import Config
from bench.data.base import DataSet, Skipped
from bench.data.images import UnreadablePicture
from bench.data.open import open_dataset, with_lists
from bench.perturb import PRESETS, Perturbation
from bench.rules import fitted
from bench.store import records as dataset_record
from bench.store.cells import Cell, Manifest
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep import costs, on_ray
from bench.sweep.plan import PlannedCell, Shard, make_plan, pending, phases, refusals, shards_of
from bench.sweep.together import Execute, Together, WorkPart
from bench.sweep.worker import Sharing, Worker, execute, worker_count
from bench.util import runtime
from bench.util.errors import UserError, unknown
from bench.util.files import write_json
from bench.util.progress import Reporter
from bench.util.runtime import pick_device
from emodc import hub

#: What the workers of a run import.
IMPORTED = (__name__, "bench.training.discriminative", "bench.training.stage")

#: Flags with a value that a command for one cell does without, or has in another way.
_NARROWED = ("--classifiers", "--perturbations", "--worker", "--executor", "--address")


def cell_command(arguments: Sequence[str], cell: Cell) -> str:
    """The shell command that computes a cell, in a folder without results.

    It trains the cell's classifier, with every training seed of the run, and measures all
    severities of its perturbation, clean pictures besides: flags choose nothing finer.

    Args:
        arguments: What followed `bench` on the command line of the run.
        cell: One of its cells.

    Returns:
        The command; empty if the run was not started by one.
    """
    if not arguments:
        return ""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, _ = argument.partition("=")
        if flag not in _NARROWED:
            kept.append(argument)
        elif not equals:
            next(rest, None)  # its value
    # `--perturbations clean` is the run that measures nothing else.
    narrowed = ["--classifiers", cell.classifier, "--perturbations", cell.perturbation]
    return shlex.join(["bench", *kept, *narrowed])


# ------------------------------------------------------------------------------------------------
# Samples whose pictures could be read when a run began and could not when they were measured.
#
# They have no rows. The run goes on, tells of them and lists them with the files that were skipped
# from the beginning; the same command measures them again, should their files be back.


class Lost:
    """Those of one run, cell by cell.

    Args:
        dataset: Its data.
        store: Where its rows are.
        shards: How many parts a cell has.
        reporter: Says what happens.
    """

    def __init__(self, dataset: DataSet, store: Store, shards: int, reporter: Reporter) -> None:
        self.dataset, self.store, self.shards, self.reporter = dataset, store, shards, reporter
        self.found: dict[str, Skipped] = {}

    def of(self, planned: PlannedCell) -> list[str]:
        """Ids of the samples that a cell has no rows of, once all its shards are stored.

        Raises:
            UserError: If they are more than half: the disk is gone and not some files.
        """
        measured: set[str] = set()
        for shard in shards_of(planned, self.shards):
            stored = self.store.stored(planned.cell, planned.inputs, shard.number, shard.count)
            measured |= set(stored or ())
        lost = [name for name in planned.sample_ids if name not in measured]
        new = [name for name in lost if name not in self.found]
        for name in new:
            reason = self._reason(planned.perturbation.sample_of(name))
            self.found[name] = Skipped(name, reason)
            self.reporter.say(f"not measured: {name}: {self.found[name].reason}")
        if new:
            write_json(_listing(self.store), [vars(one) for one in self.all])
        if len(lost) > len(planned.sample_ids) // 2:
            raise UserError(
                f"{len(lost)} of {len(planned.sample_ids)} pictures can no longer be read, such as "
                f"{lost[0]}: {self.found[lost[0]].reason}. Is the disk still there? The same "
                "command continues.",
                1,
            )
        return lost

    @property
    def all(self) -> list[Skipped]:
        """What was skipped from the beginning, and since."""
        return [*self.dataset.skipped, *self.found.values()]

    def _reason(self, name: str) -> str:
        splits = self.dataset.samples("val"), self.dataset.samples("test")
        known = {one.id: one for split in splits for one in split}
        try:
            self.dataset.shown(known[name])
        except UnreadablePicture as error:
            return str(error)
        return "it could not be read for a while"


def _listing(store: Store) -> Path:
    return store.root / "skipped.json"


# ------------------------------------------------------------------------------------------------
# `bench run robustness`: plan, train what is missing, sweep shard by shard, resume by itself.


_TOLD = 10  # skipped files; a partial copy lacks thousands
_LIBRARIES = ("torch", "diffusers", "transformers", "timm", "torchattacks", "numpy", "scipy")


@dataclass(frozen=True)
class DryRun:
    """What a run would do.

    Attributes:
        cells: Every cell, whether it is finished, and its estimated seconds.
        training: Steps still to be trained, per classifier and training seed.
        seconds: Estimated wall time in all.
        skipped: Files of the data set that could not be read.
        left_out: Members of presets that cannot be applied here, with the reason.
        expected: What is left to be done costs, by classifier and family.
        measured: Whether this machine's speed is known with every classifier.
    """

    cells: list[tuple[PlannedCell, bool, float]]
    training: dict[tuple[str, int], int]
    seconds: float
    skipped: int
    left_out: Mapping[str, str]
    expected: list[costs.Expected]
    measured: bool


def dry_run(
    config: Config, out: Path, fresh: bool = False, reporter: Reporter | None = None
) -> DryRun:
    """Plan without doing anything; see `run`.

    Args:
        config: The run.
        out: Its folder.
        fresh: As of `run`.
        reporter: Networks whose speed here is not known yet are tried for some seconds, which it
            tells; None: the estimate is what it can be without.
    """
    parts = [_dry_run(part, out, fresh, reporter) for part in config.parts()]
    training: Counter[tuple[str, int]] = Counter()
    for part in parts:
        training.update(part.training)
    return replace(
        parts[0],
        cells=[cell for part in parts for cell in part.cells],
        training=dict(training),
        seconds=sum(part.seconds for part in parts),
        skipped=sum(part.skipped for part in parts),
        expected=costs.summed(one for part in parts for one in part.expected),
        measured=all(part.measured for part in parts),
    )


def _dry_run(config: Config, out: Path, fresh: bool, reporter: Reporter | None) -> DryRun:
    """Of one fold, or of a run without folds."""
    _require_possible(config)
    opened = open_dataset(config.data, config.seed, clips=config.clips)
    dataset = with_lists(opened, config.lists, Reporter())
    wanted = {w: name for name, spec in config.classifiers.items() if (w := spec.to_fetch)}
    if reporter is not None:
        for hub_id, name in wanted.items():
            reporter.say(f"{name}: {hub_id} is not on this machine; a run fetches it first")
    chains = checkpoints.recipes(config, dataset)
    jobs = checkpoints.untrained(config, out, chains)
    ends = {key: checkpoints.checkpoint_folder(out, chain[-1]) for key, chain in chains.items()}
    weights = {k: Card.verified(end).weights if end.exists() else "" for k, end in ends.items()}
    plan = make_plan(config, dataset, weights | given_weights(config))
    store, workers = Store(out), _workers(config)
    finished = [not fresh and not pending(p, config.execution.shards, store) for p in plan]
    working = {p.cell.classifier for p, done in zip(plan, finished, strict=True) if not done}
    busy = {name: spec for name, spec in config.classifiers.items() if name in working}
    speeds = costs.speeds(config.model_copy(update={"classifiers": busy}), dataset, reporter)
    known = costs.Costs(config, store, speeds)
    cells, expected = [], [known.trained(job.classifier, job.recipe) for job in jobs]
    for planned, done in zip(plan, finished, strict=True):
        cost = known.expected(planned, workers)
        cells.append((planned, done, 0.0 if done else cost.seconds))
        expected += [] if done else [cost]
    processes = checkpoints.concurrent_trainings(config, dataset, chains)
    training: Counter[tuple[str, int]] = Counter()
    for job in jobs:
        steps = kind_of(job.recipe).training_steps(job.recipe)
        training[job.classifier, job.recipe["seed"]] += steps
    return DryRun(
        cells,
        dict(training),
        known.training(jobs, processes) + sum(cost for _, _, cost in cells),
        len(dataset.skipped),
        config.perturbations.left_out,
        costs.summed(expected),
        set(speeds) == set(busy),
    )


def run(
    config: Config,
    out: Path,
    reporter: Reporter,
    command: Sequence[str] = (),
    fresh: bool = False,
    part: WorkPart | None = None,
    retry_failed: bool = False,
) -> Store:
    """Do the whole run, or what is left of it, together with other runs at the same folder.

    Args:
        config: The run.
        out: Folder of checkpoints and results.
        reporter: Shows progress.
        command: What followed `bench` on the command line, for the manifests of cells that are
            completed now.
        fresh: Measure all cells of the run anew, whatever is stored of them; nothing is trained
            anew.
        part: Of the work, with which this run begins; it leaves to others what they are at.
        retry_failed: Try again what could not be computed in a run with `errors: record`.

    Returns:
        The filled store.

    Raises:
        UserError: If something cannot be done as asked; with exit code 0 if other runs are still
            at work on the rest of a run in parts.
    """
    folds = config.parts()
    _require_possible(config)  # before the folder is made
    if config.execution.executor == "processes" and _workers(config) > 1:
        runtime.prepare_workers(*IMPORTED)  # while data are opened
    together = Together(out, reporter, part, config.execution.errors == "record")
    started = shlex.join(["bench", *command]) if command else "a run"
    with together.present(), reporter.logged(out / "run.log", started):
        if fresh and together.others():
            raise UserError(
                f"--fresh: {', '.join(together.others())} works at {out}, too, and would lose "
                "what it measures. Wait until it ends, or choose another --out."
            )
        for number, fold in enumerate(folds):
            if len(folds) > 1:
                name = getattr(fold.data, "name", fold.data.kind)
                reporter.say(f"fold {number + 1} of {len(folds)}: {name}")
            store = _run(fold, out, reporter, command, fresh, together, retry_failed)
    together.tell_plans(store)
    together.left.tell()
    return store


def _run(
    config: Config,
    out: Path,
    reporter: Reporter,
    command: Sequence[str],
    fresh: bool,
    together: Together,
    retry_failed: bool,
) -> Store:
    """Of one fold, or of a run without folds."""
    # Found once, for all processes, and for whoever verifies the run on another machine.
    config = config.model_copy(update={"precision": checkpoints.resolved_precision(config)})
    for name, reason in config.perturbations.left_out.items():
        reporter.say(f"left out: {name}: {reason}")
    for sentence in refusals(config):
        reporter.say(sentence)
    opened = open_dataset(config.data, config.seed, reporter, config.clips)
    dataset = with_lists(opened, config.lists, reporter)
    _list_skipped(dataset, out, reporter)
    given = given_weights(config)
    _try_classifiers(config, dataset, Store(out), given, reporter, fresh)
    _require_weights(config, dataset, out)
    folders = checkpoints.train_missing(
        config,
        dataset,
        out,
        reporter,
        together.distance,
        on_ray.train if config.execution.executor == "ray" else None,
    )
    runtime.release_freed_memory()
    for name, spec in config.classifiers.items():
        if spec.folder is not None:
            folders[name, config.seed] = spec.folder
    weights = {key: Card.verified(folder).weights for key, folder in folders.items()}
    plan = make_plan(config, dataset, weights | given)

    store = Store(out)
    _tell_of_changed_code(config, plan, store, reporter)
    for planned in plan if fresh else ():
        store.forget(planned.cell)
    store.write_dataset(*dataset_record.describe(dataset))
    together.planned |= {planned.cell.id for planned in plan}
    content = config.model_dump(mode="json")
    for name, spec in config.classifiers.items():
        if spec.label is not None:  # recipes leave it out, and so does the dump
            content["classifiers"][name]["label"] = spec.label
    store.write_plan([planned.cell for planned in plan], content)
    if out / "plan.json" in store.refused:
        reporter.say(
            f"{out / 'plan.json'} was damaged and is written anew with the cells of this run. To "
            "have those of other runs in the report, run their commands again: nothing that is "
            "stored is measured twice."
        )
    alone = not together.others()
    todo = [s for planned in plan for s in _reopened(planned, config, store, reporter, alone)]
    for shard in todo if retry_failed or fresh else ():
        store.retry(shard.planned.cell, shard.number, shard.count)
    arguments = (config, dataset, out, folders)
    lost = Lost(dataset, store, config.execution.shards, reporter)
    describe = _Describer(Worker(*arguments), config, command, lost)
    _sweep(config, todo, arguments, plan, store, describe, together)
    _keep_fits(config, folders, plan, store)
    return store


def _keep_fits(
    config: Config,
    folders: Mapping[tuple[str, int], Path],
    plan: Sequence[PlannedCell],
    store: Store,
) -> None:
    """Put what validation pictures taught beside the EmoDCs trained here: `predict` uses it.

    Several classifiers may share a checkpoint; the fit is that of the one whose errors are measured
    as the checkpoint measures them by itself.
    """
    for cell in (planned.cell for planned in plan if planned.cell.about.fits):
        spec, folder = (
            config.classifiers[cell.classifier],
            folders.get((cell.classifier, cell.seed)),
        )
        settings = getattr(spec, "evaluation", None) if spec.keeps_trace else None
        if folder is None or settings is None or not spec.trained_here:
            continue
        found = fitted(store, cell) if hub.wants_fit(folder, settings) else None
        if found is not None:
            hub.write_fit(folder, found, settings)


def _list_skipped(dataset: DataSet, out: Path, reporter: Reporter) -> None:
    listing = out / "skipped.json"
    listing.unlink(missing_ok=True)  # an earlier run's
    for skipped in dataset.skipped[:_TOLD]:
        reporter.say(f"skipped {skipped.path}: {skipped.reason}")
    if dataset.skipped:
        number = len(dataset.skipped)
        reporter.say(f"{number:,} file{'' if number == 1 else 's'} skipped, listed in {listing}")
        write_json(listing, [vars(skipped) for skipped in dataset.skipped])


def require_ready(config: Config, out: Path) -> None:
    """Refuse, before any work, what would stop a run sooner or later.

    For the runs that come after others; `run` itself begins like this.

    Args:
        config: The run.
        out: Its folder, whose checkpoints need not be trained again.

    Raises:
        UserError: Also if its data are not what they should be, or weights cannot be fetched.
    """
    for part in config.parts():
        _require_possible(part)
        opened = open_dataset(part.data, part.seed, Reporter(), part.clips)
        _require_weights(part, with_lists(opened, part.lists, Reporter()), out)


def _require_weights(config: Config, dataset: DataSet, out: Path) -> None:
    """Fetch the weights that trainings start from, unless these are done."""
    chains = checkpoints.recipes(config, dataset)
    first = {n: checkpoints.checkpoint_folder(out, chain[0]) for (n, _), chain in chains.items()}
    for name, folder in first.items():
        if not folder.exists():
            config.classifiers[name].require_weights(name)


def _require_possible(config: Config) -> None:
    """Refuse, before any work, what cannot be opened or that something must be installed for."""
    executor(config.execution.executor)
    pick_device(config.execution.device)
    for name, spec in config.classifiers.items():
        spec.check(name)
    for perturbation, _ in config.perturbations.members():
        missing = perturbation.missing()
        if missing:
            raise UserError(f"{perturbation.name}: {missing}")


def _tell_of_changed_code(
    config: Config, plan: Sequence[PlannedCell], store: Store, reporter: Reporter
) -> None:
    """Say which code of a user's own changed since the rows of an earlier run."""
    try:
        earlier = [manifest for cell in store.planned() if (manifest := store.manifest(cell))]
    except UserError:  # no run was here
        return
    before = [_codes(config, manifest.cell, manifest.inputs) for manifest in earlier]
    now = dict(code for p in plan for code in _codes(config, p.cell, p.inputs).items())
    for name, code in now.items():
        known = {own[name] for own in before if name in own}
        if known and code not in known:
            reporter.say(f"{name}: its code changed since these rows: they are measured again")


def _codes(config: Config, cell: Cell, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the user's code behind a cell: the classifier's and the perturbation's."""
    found = {}
    if cell.classifier in config.classifiers and config.classifiers[cell.classifier].user_code:
        found[cell.classifier] = inputs["weights"]
    if "source" in inputs.get("perturbation", {}):
        found[cell.perturbation] = inputs["perturbation"]["source"]
    return found


def _try_classifiers(
    config: Config,
    dataset: DataSet,
    store: Store,
    given: Mapping[tuple[str, int], str],
    reporter: Reporter,
    fresh: bool,
) -> None:
    """Of the classifiers that are brought along and have cells to be measured.

    Before anything is trained, so that a mistake costs no hours.
    """
    brought = {
        name: spec
        for name, spec in config.classifiers.items()
        if spec.user_code or spec.wants_order_check
    }
    alone = config.model_copy(update={"classifiers": brought})
    plan, count = make_plan(alone, dataset, dict(given)), config.execution.shards
    unfinished = [p for p in plan if fresh or pending(p, count, store)]
    for name in dict.fromkeys(p.cell.classifier for p in unfinished):
        spec, device = brought[name], pick_device(config.execution.device)
        classifier = spec.load(name, spec.folder, config, device)
        classifier.require_classes(dataset.classes, name)
        own = [p for p in unfinished if p.cell.classifier == name]
        for warning in spec.probe(classifier, any(p.perturbation.queries for p in own)):
            reporter.say(warning)
        if spec.wants_order_check:
            reporter.say(f"check the class order of {name}")
            require_class_order(name, classifier, dataset)


def _sweep(
    config: Config,
    todo: Sequence[Shard],
    arguments: tuple[Config, DataSet, Path, dict[tuple[str, int], Path]],
    plan: list[PlannedCell],
    store: Store,
    describe: "_Describer",
    together: Together,
) -> None:
    """Execute the shards; write each cell's manifest when its last shard is stored."""
    reporter = together.reporter
    left = {planned.cell.id: 0 for planned in plan}
    for shard in todo:
        left[shard.planned.cell.id] += 1
    _declare(config, plan, store)
    finished = [p for p in plan if not left[p.cell.id] and store.manifest(p.cell) is None]
    for planned in finished:  # killed between the last shard and the manifest
        _complete(planned, store, describe, together)
    dataset, out = arguments[1:3]
    alone = not together.others()
    sharing = Sharing(out, todo, dataset, config.execution.corrupted_cache * 10**6, alone)
    total = sum(shard.size for shard in todo)
    if not total:
        if alone:
            sharing.end()
        reporter.say(f"sweep: all {len(plan)} cells are already there")
        return
    known = costs.Costs(config, store, costs.speeds(config, dataset))
    cost = {p.cell.id: known.seconds(p) / max(1, len(p.sample_ids)) for p in plan}
    work = sum(shard.size * cost[shard.planned.cell.id] for shard in todo)
    with reporter.task(f"sweep {len(plan)} cells", total, work=work) as task:
        run_shards, workers = executor(config.execution.executor), _workers(config)
        parts = phases(together.ordered(plan, config.execution.shards, sharing.todo))
        for shard in itertools.chain.from_iterable(
            together.stored(
                part, run_shards, arguments, workers, store, needed=part is not parts[-1]
            )
            for part in parts
        ):
            planned = shard.planned
            sharing.done(shard)
            left[planned.cell.id] -= 1
            if not left[planned.cell.id]:
                _complete(planned, store, describe, together)
            cell = planned.cell
            seed = f", seed {cell.seed}" if len(config.seeds) > 1 else ""
            note = f"{cell.classifier}{seed} {cell.condition} {cell.severity}"
            count = shard.size
            task.advance(count, note, count * cost[cell.id])
    if not together.others():
        sharing.end()


def _complete(
    planned: PlannedCell, store: Store, describe: "_Describer", together: Together
) -> None:
    """Write the manifest of a cell whose files are read back before they count."""
    with together.leases.awaited(f"{planned.cell.id}-manifest"):
        if store.manifest(planned.cell) is None:  # else another run was faster
            store.write_manifest(describe(planned))
    manifest = store.manifest(planned.cell)
    wrong = None if manifest is None else store.problem(manifest)
    if wrong is not None:
        store.reopen(planned.cell, planned.inputs, [])
        raise UserError(wrong, 1)


def _declare(config: Config, plan: list[PlannedCell], store: Store) -> None:
    """Bring what the config says of trainings into the manifests of cells already complete."""
    for planned in plan:
        manifest = store.manifest(planned.cell)
        if manifest is None:
            continue
        kept = {k: v for k, v in manifest.training.items() if k != "trained_with"}
        training = kept | config.classifiers[planned.cell.classifier].declared()
        if training != manifest.training:
            store.write_manifest(manifest.model_copy(update={"training": training}))


class _Describer:
    """Writes manifests; opens each classifier once."""

    def __init__(self, worker: Worker, config: Config, command: Sequence[str], lost: Lost) -> None:
        self.worker, self.config, self.command, self.lost = worker, config, command, lost
        self._flops: dict[tuple[str, int], dict[str, float]] = {}  # several passes of the network

    def __call__(self, planned: PlannedCell) -> Manifest:
        """The manifest of a complete cell."""
        cell = planned.cell
        classifier: Classifier = self.worker.classifier(cell.classifier, cell.seed)
        key = cell.classifier, cell.seed
        if key not in self._flops:
            self._flops[key] = classifier.flops()
        shards = len(shards_of(planned, self.config.execution.shards))
        made = _environment(self.worker.device) | _preset(planned.perturbation)
        return Manifest(
            cell=cell,
            classes=list(classifier.classes),
            n=len(planned.sample_ids) - len(self.lost.of(planned)),
            shards=shards,
            checkpoint=classifier.digest,
            gate=classifier.gate,
            timesteps=list(classifier.timesteps),
            validation=classifier.validation,
            training=classifier.training,
            inputs=planned.inputs,
            environment=made | self.worker.store.notes(cell, shards),
            flops=self._flops[key],
            deterministic=classifier.deterministic,
            command=cell_command(self.command, cell),
        )


def _reopened(
    planned: PlannedCell, config: Config, store: Store, reporter: Reporter, alone: bool
) -> list[Shard]:
    todo = pending(planned, config.execution.shards, store)
    if todo:
        cell, manifest = planned.cell, store.manifest(planned.cell)
        wrong = store.refused.get(store.folder(cell) / "cell.json")
        if manifest is not None and manifest.n == len(planned.sample_ids):
            wrong = store.problem(manifest, planned.sample_ids)
            if wrong is None:  # another run has just completed it
                return []
        if wrong is not None:
            what = f"{cell.classifier}, {cell.condition} {cell.severity}"
            reporter.say(f"measured again: {what}: {wrong}")
        # What lacks rows of pictures that were lost may be what another run has just stored.
        shards = [(s.number, s.count, s.sample_ids if alone else None) for s in todo]
        store.reopen(cell, planned.inputs, shards)
    return todo


def given_weights(config: Config) -> dict[tuple[str, int], str]:
    """Digests of the classifiers that are not trained here."""
    weights = {}
    for name, spec in config.classifiers.items():
        identity = spec.identity(name)
        if identity is not None:
            weights[name, config.seed] = identity
    return weights


def executor(name: str) -> Execute:
    """Where shards run, by name: a function of the bench, or of a plugin, called like `execute`.

    Raises:
        UserError: If there is no such executor, or it is not installed.
    """
    if name == "ray":
        on_ray.require()
        return on_ray.execute
    found: Execute | None = execute if name == "processes" else plugins.function("executor", name)
    if found is None:
        raise unknown("executor", name, ["processes", "ray"])
    return found


def _workers(config: Config) -> int:
    return worker_count(config.execution.workers, pick_device(config.execution.device).type)


def _preset(perturbation: Perturbation) -> dict[str, str]:
    """Name and version of the preset that has a corruption, for reports."""
    own = perturbation.of_pictures
    has = [p for p in PRESETS.values() if p.corruptions.get(perturbation.name) == own]
    return {"preset": f"{has[0].name} {has[0].version}"} if has else {}


def _environment(device: torch.device) -> dict[str, str]:
    """Versions and device, without naming the machine."""
    return {"python": platform.python_version(), "device": device.type, **_versions()}


@cache  # to read them takes longer than to finish a small cell
def _versions() -> dict[str, str]:
    return {library: version(library) for library in _LIBRARIES}
