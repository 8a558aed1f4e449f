"""What the stored traces say of each EmoDC, as numbers; `bench.report.figures` draws them.

Traces are of the test pictures. They explain a result; choosing timesteps or margins by them would
fit the test set.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.report.groups import Group, Result
from bench.report.results import Results
from bench.report.traces.example import Example, find_example
from bench.report.traces.traced import Traced, strongest, with_traces
from bench.store import Store
from emodc import diagnostics
from emodc.estimates import Estimate, Floats

BINS = 10
CONDITIONS = 4  # lines that a panel can hold: clean, and the first corruptions at their strongest
ALPHA = 0.2  # of the adaptive margin, where an EmoDC was not trained with one

#: Prompts that are compared with the right class's, as they are shown.
PROMPTS = {"null": "null prompt", "non_class": "non-class prompt", "negative": "negatives, mean"}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one EmoDC's traces say.

    Attributes:
        group: Where it stands.
        conditions: Clean, then corruptions at their strongest stored severity.
        prompts: Mean errors by prompt ("positive" and some of `PROMPTS`) of the pictures measured
            under all of them, (M,) each.
        example: A picture whose decision changes, if there is one.
    """

    group: Group
    conditions: tuple[Traced, ...]
    prompts: dict[str, Floats]
    example: Example | None

    @property
    def clean(self) -> Traced:
        """The clean cell."""
        return self.conditions[0]

    @property
    def name(self) -> str:
        """The classifier, as shown."""
        return self.clean.result.name

    @property
    def where(self) -> str:
        """Data set and seed, for captions."""
        return f"Data set {self.group.data}, seed {self.clean.result.cell.seed}"

    def file_name(self, what: str) -> str:
        """Base of a figure's file name."""
        return self.group.file_name(f"{self.clean.result.cell.classifier}-{what}")

    @cached_property
    def edges(self) -> Floats:
        """Of the timestep bins, (B + 1,)."""
        planned = self.clean.result.manifest.inputs.get("evaluation") or {}
        grid = self.clean.timesteps
        low, high = planned.get("low", int(grid.min())), planned.get("high", int(grid.max()) + 1)
        return diagnostics.timestep_bins(low, high, min(BINS, grid.shape[1]))

    @cached_property
    def correlations(self) -> dict[str, Estimate | None]:
        """Pearson's r of each prompt's error with d_p."""
        d_p = self.prompts["positive"]
        others = {k: self.prompts[k] for k in PROMPTS if k in self.prompts}
        return {k: diagnostics.correlation(d_p, values) for k, values in others.items()}

    @cached_property
    def above(self) -> dict[str, Estimate | None]:
        """Mean of each prompt's error minus d_p."""
        d_p = self.prompts["positive"]
        return {k: diagnostics.mean(self.prompts[k] - d_p) for k in self.correlations}

    @cached_property
    def gaps(self) -> Floats:
        """d_n - d_p on clean pictures by timestep bin, (N, K - 1, B)."""
        return diagnostics.gaps(self.clean.binned(self.edges), self.clean.labels)

    def informativeness(self, traced: Traced) -> list[tuple[Estimate | None, Estimate | None]]:
        """Per timestep bin, the accuracy of its decision alone and the d' of its mean gap."""
        if traced not in self._informativeness:  # tables and figures ask for the same
            binned = traced.binned(self.edges)
            accuracies = diagnostics.bin_accuracy(binned, traced.labels)
            gaps = diagnostics.gaps(binned, traced.labels).mean(axis=1).T
            both = zip(accuracies, map(diagnostics.separation, gaps), strict=True)
            self._informativeness[traced] = list(both)
        return self._informativeness[traced]

    @cached_property
    def _informativeness(
        self,
    ) -> dict[Traced, list[tuple[Estimate | None, Estimate | None]]]:
        return {}

    @cached_property
    def margins(self) -> diagnostics.Margins:
        """A fixed and an adaptive margin on clean pictures."""
        return diagnostics.margins(self.clean.errors, self.clean.labels, self.alpha)

    @cached_property
    def alpha(self) -> float:
        """What the last stage was trained with if its margin is on d_p, else `ALPHA`."""
        stages = _training(self.clean.result).get("stages") or [{}]
        objective = stages[-1].get("objective", {})
        own = objective.get("alpha") if objective.get("c_nn") == "positive" else None
        return ALPHA if own is None else float(own)


def diagnose(results: Results, store: Store) -> tuple[list[Diagnosis], list[str]]:
    """Every EmoDC of a report, and a sentence for each that has no diagnostics.

    Of an EmoDC trained with several seeds, the first stands for the others.
    """
    found, absent = [], []
    for group in results.groups:
        clean: dict[str, Result] = {}
        for result in group.results:
            if result.cell.family == "clean" and result.manifest.timesteps:
                clean.setdefault(result.cell.classifier, result)
        for result in clean.values():
            traced = with_traces(result, store)
            if traced is None:
                absent.append(
                    f"{result.name} on {group.dataset}: the store holds no whole trace of its clean"
                    " pictures, so there are no diagnostics; the same `bench run` makes it."
                )
            else:
                found.append(_diagnosis(group, traced, store))
    if not found and not absent:
        absent.append("The store holds no EmoDC with clean pictures, so there is nothing to tell.")
    return found, absent


def _diagnosis(group: Group, clean: Traced, store: Store) -> Diagnosis:
    results = strongest(group, clean.result)
    corrupted = [t for r in results if (t := with_traces(r, store)) is not None]
    prompts = _prompts(clean, store)
    example = find_example(group, clean, corrupted)
    return Diagnosis(group, (clean, *corrupted[: CONDITIONS - 1]), prompts, example)


def _prompts(clean: Traced, store: Store) -> dict[str, Floats]:
    stored = store.other_prompts(clean.result.manifest)
    position = {name: i for i, name in enumerate(clean.result.outcomes.ids)}
    if stored is None or not set(stored.ids) <= position.keys():
        return diagnostics.prompt_means(clean.errors, clean.labels)
    rows = [position[name] for name in stored.ids]
    others = {"null": stored.null, "non_class": stored.non_class}
    return diagnostics.prompt_means(clean.errors[rows], clean.labels[rows], others)


def _training(result: Result) -> dict[str, Any]:
    """How the classifier was trained, as far as its manifest tells."""
    found = result.manifest.model_dump().get("training")
    return found if isinstance(found, dict) else {}
