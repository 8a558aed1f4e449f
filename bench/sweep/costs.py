"""What a run will cost: seconds on this machine and on named accelerators, evaluations, disk.

Each kind of classifier knows how its costs grow with pictures, steps and gradients, in seconds of a
core that nobody has. How much faster or slower this machine is, with this network, is measured: a
network like it computes for some seconds, and the result is remembered in the user's cache folder.
Other machines' seconds follow from counted operations.

On a CPU the seconds are those that the process computed: what is remembered must not depend on what
else the machine did.
"""

import heapq
import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from typing_extensions import override

from baselines.networks import INPUT_SIZE
from bench.classifiers import checkpoints
from bench.classifiers.base import as_images
from bench.classifiers.kinds.base import kind_of
from bench.config import Config
from bench.perturb.base import ROWS, Clean
from bench.perturb.config import Perturbations
from bench.rules import SequentialDecision
from bench.store.store import Store
from bench.sweep.plan import PlannedCell, decision_of
from bench.training.loop import Loop, Training, TrainingData, TrainingJob
from bench.util import rng, runtime
from bench.util.errors import UserError
from bench.util.files import cache_folder, digest, read_sealed, write_sealed
from bench.util.progress import Reporter, Task

if TYPE_CHECKING:
    from bench.classifiers.base import Classifier
    from bench.classifiers.kinds.base import Kind
    from bench.data.base import DataSet, Split

SCHEMA = 4

#: Dense operations per second of accelerators in bfloat16, as their makers state them.
ACCELERATORS = {"L4": 121e12, "A100": 312e12, "H100": 989e12}

#: Share of that which networks of this size reach; those that are too large to be tried reach more.
UTILISATION, LARGE = 0.1, 0.4

#: Bytes of a row, and of an error in a trace (float32, compressed).
_ROW, _ERROR = 120, 3.3

#: What early decisions take of the evaluations of all steps, until a run has shown it: as in the
#: default run, for plain denoisers, which decide late, and for others.
_EARLY = {True: 0.29, False: 0.12}

#: What they take more of the time than of the evaluations: the last pictures of a batch to be
#: decided leave places of a micro-batch empty.
_EMPTY = 0.1


@dataclass(frozen=True)
class Speed:
    """Of one network on one machine, beside the seconds that its kind states.

    Attributes:
        verdict: Seconds of a verdict, over the stated ones.
        live: Of one that may stop early but does not.
        gradient: Of a gradient.
        step: Of training, all stages together.
        flops: Operations of a verdict; 0 if they are unknown.
        evaluations: Of a verdict.
        step_flops: Operations of a training step; 0 where they follow from a verdict's.
        share: Of an accelerator's stated operations, that the network reaches.
    """

    verdict: float = 1.0
    live: float = 1.0
    gradient: float = 1.0
    step: float = 1.0
    flops: float = 0.0
    evaluations: int = 1
    step_flops: float = 0.0
    share: float = UTILISATION


@dataclass(frozen=True)
class Expected:
    """What a classifier's trainings, or its cells of a family, will cost.

    Attributes:
        classifier: Its name.
        family: Of the cells, or "training".
        seconds: Wall time here.
        flops: Operations; 0 if they are unknown.
        evaluations: Of the network, in verdicts.
        bytes: On disk.
        share: As of `Speed`.
    """

    classifier: str
    family: str
    seconds: float
    flops: float = 0.0
    evaluations: float = 0.0
    bytes: float = 0.0
    share: float = UTILISATION

    def on(self, accelerator: str) -> float:
        """Seconds on one of `ACCELERATORS`, at its share; 0 if unknown."""
        return self.flops / (ACCELERATORS[accelerator] * self.share)

    def __add__(self, other: "Expected") -> "Expected":
        return Expected(
            self.classifier,
            self.family,
            self.seconds + other.seconds,
            self.flops + other.flops,
            self.evaluations + other.evaluations,
            self.bytes + other.bytes,
            self.share,
        )


def summed(parts: Iterable[Expected]) -> list[Expected]:
    """One for each classifier and family."""
    found: dict[tuple[str, str], Expected] = {}
    for part in parts:
        key = part.classifier, part.family
        found[key] = found[key] + part if key in found else part
    return list(found.values())


@dataclass
class Costs:
    """Estimates for the cells and trainings of a run.

    Args:
        config: The run.
        store: Whose finished cells say how soon decisions end.
        speeds: Of each classifier; where there is none, what its kind states.
    """

    config: Config
    store: Store
    speeds: Mapping[str, Speed] = field(default_factory=dict)

    def speed(self, name: str) -> Speed:
        """How fast this machine is with a classifier."""
        return self.speeds.get(name, Speed())

    def seconds(self, planned: PlannedCell) -> float:
        """Seconds on one core to measure a cell."""
        cell, perturbation = planned.cell, planned.perturbation
        spec, speed = self.config.classifiers[cell.classifier], self.speed(cell.classifier)
        verdict, gradient = spec.seconds(perturbation, cell.severity)
        look = verdict * speed.verdict
        if self._decides(planned):
            known = self._known.get((cell.classifier, cell.family))
            usual = verdict * speed.live * (self.share(planned) + _EMPTY)
            look = usual if known is None else known[0]
        each = look + perturbation.queries * gradient * speed.gradient
        others = len(planned.other_prompts) * verdict * speed.verdict
        return len(planned.sample_ids) * each + others * _OTHERS

    def share(self, planned: PlannedCell) -> float:
        """Share of the evaluations that are made before the class is decided."""
        cell = planned.cell
        if not self._decides(planned):
            return 1.0
        usual = _EARLY[self.config.classifiers[cell.classifier].only_denoises]
        known = self._known.get((cell.classifier, cell.family))
        return usual if known is None else known[1]

    def _decides(self, planned: PlannedCell) -> bool:
        cell = planned.cell
        return decision_of(self.config, cell.classifier, cell.family) is not None

    def looks(self, planned: PlannedCell) -> float:
        """Verdicts that a row costs, gradients as three of as many steps."""
        perturbation, level = planned.perturbation, planned.cell.severity
        verdict, gradient = self.config.classifiers[planned.cell.classifier].seconds(
            perturbation, level
        )
        looks = self.share(planned) * perturbation.looks(level)
        return looks + (perturbation.queries * gradient / verdict if verdict else 0.0)

    def evaluations(self, planned: PlannedCell) -> float:
        """Evaluations of the network that a cell's verdicts take."""
        looks = self.share(planned) * planned.perturbation.looks(planned.cell.severity)
        return len(planned.sample_ids) * looks * self.speed(planned.cell.classifier).evaluations

    def trained(self, name: str, recipe: Mapping[str, Any]) -> Expected:
        """All that the training of a checkpoint costs; seconds on one core."""
        spec, speed = self.config.classifiers[name], self.speed(name)
        each = speed.step_flops or _GRADIENT * spec.batch * speed.flops / spec.passes
        flops = kind_of(recipe).training_steps(recipe) * each
        seconds = spec.training_seconds(recipe) * spec.batch / 64 * speed.step
        return Expected(name, "training", seconds, flops, share=speed.share)

    def expected(self, planned: PlannedCell, workers: int) -> Expected:
        """All that a cell costs."""
        return Expected(
            planned.cell.classifier,
            planned.cell.family,
            self.seconds(planned) / workers,
            len(planned.sample_ids)
            * self.looks(planned)
            * self.speed(planned.cell.classifier).flops,
            self.evaluations(planned),
            self._bytes(planned),
            self.speed(planned.cell.classifier).share,
        )

    def _bytes(self, planned: PlannedCell) -> float:
        traced = self.config.classifiers[planned.cell.classifier].keeps_trace
        errors = self.evaluations(planned) if traced else 0.0
        half = self.config.execution.traces == "float16"
        return len(planned.sample_ids) * _ROW + errors * _ERROR / (1 + half)

    def training(self, jobs: Sequence[Training], processes: int) -> float:
        """Wall time to train, each as soon as one of the processes and what it needs is there.

        Args:
            jobs: Trainings still to do, each behind the one that it starts from.
            processes: Trainings at the same time.
        """
        each = {job.folder: self.trained(job.classifier, job.recipe).seconds for job in jobs}
        if processes == 1:
            return sum(each.values()) / _TRAIN_SPEEDUP
        left = checkpoints.longest_first(self.config, jobs)
        ends: dict[Path, float] = {}
        free = [0.0] * processes  # when each process is, a heap
        while left:
            now = heapq.heappop(free)
            done = {folder for folder, end in ends.items() if end <= now}
            ready = [j for j in left if j.after is None or j.after in done or j.after not in each]
            if ready:
                left.remove(ready[0])
                ends[ready[0].folder] = now + each[ready[0].folder]
                heapq.heappush(free, ends[ready[0].folder])
            else:
                heapq.heappush(free, min(end for end in ends.values() if end > now))
        return max(ends.values(), default=0.0)

    @cached_property
    def _known(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Seconds and share of evaluations of decisions in finished cells, by name and family."""
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        try:
            cells = self.store.planned()
        except UserError:
            return {}
        for cell in cells:
            manifest = self.store.manifest(cell)
            evaluation = {} if manifest is None else manifest.inputs.get("evaluation") or {}
            if manifest is None or not manifest.timesteps or "decision" not in evaluation:
                continue
            if cell.about.place == "certified":  # of many verdicts
                continue
            full = len(manifest.timesteps) * len(manifest.classes)
            try:
                table = self.store.table(manifest)
            except UserError:
                continue
            seconds, made = (float(table[c].to_numpy().mean()) for c in ("seconds", "evaluations"))
            found.setdefault((cell.classifier, cell.family), []).append((seconds, made / full))
        return {
            key: (statistics.fmean(a for a, _ in values), statistics.fmean(b for _, b in values))
            for key, values in found.items()
        }


_GRADIENT = 3.0  # operations of a gradient, over those of a verdict at the same steps
_OTHERS = 2 / 7  # two prompts, of the seven that a verdict has
_TRAIN_SPEEDUP = 1.7  # of two threads over one


# ------------------------------------------------------------------------------------------------
# The calibration.


def speeds(
    config: Config, dataset: "DataSet", reporter: Reporter | None = None
) -> dict[str, Speed]:
    """How fast this machine is with the networks of a run.

    Args:
        config: The run.
        dataset: Its data.
        reporter: Networks that were not measured before are measured now, which it tells; None:
            they are left out.
    """
    found, known = {}, dict[str, Speed]()
    for name, spec in config.classifiers.items():
        path = _remembered(config, spec, len(dataset.classes))
        if path.name in known:
            found[name] = known[path.name]
            continue
        try:
            content = read_sealed(path, SCHEMA)
            found[name] = Speed(**content["speed"])
        except (OSError, ValueError, KeyError, TypeError):
            if reporter is None:
                continue
            reporter.say(f"measuring how fast this machine is with {name}")
            speed = measured(config, name, dataset)
            if speed is None:
                continue
            found[name] = speed
            write_sealed(path, {"schema_version": SCHEMA, "speed": asdict(speed)})
        known[path.name] = found[name]
    return found


def _remembered(config: Config, spec: "Kind", classes: int) -> Path:
    """Where the speed of a network on this machine is kept."""
    device = runtime.pick_device(config.execution.device)
    machine = [platform.node(), platform.processor(), torch.__version__, str(device)]
    what = spec.model_dump(mode="json", exclude={"steps", "learning_rate"})
    return cache_folder() / "speeds" / f"{digest([machine, what, classes, config.precision])}.json"


_STEPS, _PICTURES, _LIVE = 6, 3, 6
_SQUARE = 1024  # side of the matrices whose product is timed


def measured(config: Config, name: str, dataset: "DataSet") -> Speed | None:
    """How fast this machine is with one classifier: a network like it, hardly trained, computes.

    Returns:
        None for one that cannot be tried in seconds, such as a model of clips.
    """
    spec = config.classifiers[name]
    if config.clips is not None:
        return None
    if not spec.tried_quickly:
        return _on_paper(config, spec, len(dataset.classes))
    with tempfile.TemporaryDirectory() as scratch, runtime.one_thread():
        try:
            step, classifier = _made(config, name, dataset, Path(scratch))
        except (UserError, RuntimeError, ValueError, OSError):
            return None
        classifier.shares_batches = spec.shares_batches and classifier.device.type == "cpu"
        stated, rows = spec.seconds(Clean(), "0")[0], ROWS if spec.shares_batches else 1
        pictures, ids = _noise(rows), [str(row) for row in range(rows)]
        classifier.measure(pictures, ids)
        clock, spent = _clock(classifier.device), []
        for _ in range(_PICTURES):
            start = clock()
            classifier.measure(pictures, ids)
            spent.append((clock() - start) / rows)
        verdict = statistics.median(spent)
        parts, passes = classifier.flops(), max(1, len(getattr(classifier, "timesteps", ())))
        passes = max(passes, spec.passes)
        return Speed(
            verdict / stated,
            _live(spec, classifier, verdict) / stated,
            _gradient(spec, classifier),
            step,
            parts.get("picture", 0.0)
            + parts.get("step", 0.0) * passes
            + parts.get("evaluation", 0.0) * classifier.evaluations,
            classifier.evaluations,
        )


def _clock(device: torch.device) -> Callable[[], float]:
    """Tells seconds: on a CPU those in which this process, of one thread, computed."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def _on_paper(config: Config, spec: "Kind", classes: int) -> Speed | None:
    """What counted operations take at half the rate of large matrix products."""
    flops, step = spec.on_paper(classes)
    if not flops:
        return None
    device = runtime.pick_device(config.execution.device)
    square = torch.ones(_SQUARE, _SQUARE, device=device)
    spent = []
    for _ in range(_PICTURES):
        start = time.perf_counter()
        float((square @ square)[0, 0])
        spent.append(time.perf_counter() - start)
    rate = _SQUARE**3 / min(spent)  # half of it: a multiplication and its addition are two
    stated, _ = spec.seconds(Clean(), "0")
    verdict = flops / rate / stated
    last = spec.recipes({})[-1]
    stated_step = spec.training_seconds(last) / kind_of(last).training_steps(last)
    trained = step / rate / (stated_step * spec.batch / 64)
    return Speed(verdict, verdict, verdict, trained, flops, spec.passes * classes, step, LARGE)


def _live(spec: "Kind", classifier: "Classifier", verdict: float) -> float:
    """Seconds of a verdict by a rule that goes through all steps."""
    asked = spec.decision
    if asked is None:
        return verdict
    if isinstance(asked, SequentialDecision) and asked.bet == "bounded":
        return verdict  # it needs what validation pictures teach
    pictures = _noise(_LIVE)
    clock = _clock(classifier.device)
    start = clock()
    found = classifier.measure(pictures, [str(k) for k in range(_LIVE)], asked.rule())
    return (clock() - start) / float((found.evaluations / classifier.evaluations).sum())


def _gradient(spec: "Kind", classifier: "Classifier") -> float:
    """Seconds of a picture's gradient, over the stated ones."""
    rows = ROWS if classifier.shares_batches else 1
    images = as_images(_noise(rows)).to(classifier.device)
    target, spent, clock = classifier.attack_target("a"), [], _clock(classifier.device)
    for _ in range(_PICTURES):
        start = clock()
        asked = images.clone().requires_grad_()
        torch.autograd.grad(target(asked).sum(), asked)
        spent.append((clock() - start) / rows)
    _, (pgd, levels) = Perturbations(corruptions={}, attacks={"pgd": [1]}).members()
    return statistics.median(spent) / spec.seconds(pgd, levels[0])[1]


def _made(
    config: Config, name: str, dataset: "DataSet", scratch: Path
) -> "tuple[float, Classifier]":
    """Seconds of training over the stated ones, 1 if it is not trained here; the classifier."""
    spec, device = config.classifiers[name], runtime.pick_device(config.execution.device)
    if not spec.trained_here:
        return 1.0, spec.load(name, spec.folder, config, device)
    brief = spec.briefly(_STEPS)

    def recipes(own: "Kind") -> list[dict[str, Any]]:
        alone = config.model_copy(update={"classifiers": {name: own}, "training_seeds": [0]})
        [chain] = checkpoints.recipes(alone, dataset).values()
        return chain

    chain, whole = recipes(brief), recipes(spec)
    clock = _Ticks(_clock(device))
    loop = Loop(Accelerator(cpu=device.type == "cpu"), device, clock, save_every=1e9)
    stated = spent = 0.0
    folder: Path | None = None
    for number, (recipe, own) in enumerate(zip(chain, whole, strict=True)):
        clock.ticks.clear()
        before, folder = folder, checkpoints.checkpoint_folder(scratch, recipe)
        training = Training(name, name, recipe, number, folder, before)
        brief.train(TrainingJob(training, scratch, _Noise(dataset), loop))
        each = sorted(after - before for before, after in itertools.pairwise(clock.ticks))
        # A stage's own steps: those of AMDiT take longer. Slower ones also validate.
        spent += kind_of(own).training_steps(own) * each[len(each) // 4]
        stated += spec.training_seconds(own) * spec.batch / 64
    return spent / stated, spec.load(name, folder, config, device)


class _Ticks(Reporter):
    """Notes when each step of training ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(quiet=True)
        self.ticks: list[float] = []
        self.clock = clock

    @override
    @contextmanager
    def task(self, label: str, total: int, done: int = 0, work: float = 0.0) -> Iterator[Task]:
        yield _Ticking(self, label, total, done)


class _Ticking(Task):
    def __init__(self, notes: _Ticks, label: str, total: int, done: int) -> None:
        super().__init__(notes, label, total, done)
        self._notes = notes

    def advance(self, count: int = 1, note: str = "", work: float = 0.0) -> None:
        """Note the time."""
        self._notes.ticks.append(self._notes.clock())


class _Noise(TrainingData):
    """Splits of pictures without meaning: a real training split takes minutes to read."""

    @override
    def split(self, name: "Split", size: int = INPUT_SIZE) -> tuple[torch.Tensor, torch.Tensor]:
        classes = len(self.dataset.classes)
        count = 128 if name == "train" else classes
        draws = rng.generator("speed", name)
        images = torch.from_numpy(draws.integers(0, 256, (count, 3, size, size), dtype=np.uint8))
        return images, torch.arange(count) % classes


def _noise(count: int) -> list[np.ndarray]:
    """Pictures without meaning, uint8 (64, 64, 3)."""
    draws = rng.generator("speed")
    return list(draws.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))
