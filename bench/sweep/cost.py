"""What a run will cost. Estimates for two CPU cores, good to a factor of two."""

from bench.config import BaselineClassifier, Config
from bench.sweep.plan import PlannedCell

# Seconds on one core, measured on the default models at 64 px; gradients cost about three forwards.
_FORWARD = {"emodc": 0.0006, "other": 0.011}  # per evaluation of one step, per picture
_TRAIN_STEP = {"emodc": 0.15, "baseline": 0.36}  # per step of 64 pictures
_GRADIENT = 3.0
_QUERIES = {"fgsm": 1, "pgd": 10}
_TRAIN_SPEEDUP = 1.7  # of two threads over one


def training_seconds(config: Config, untrained: dict[tuple[str, int], int]) -> float:
    """Wall time to train; `untrained` holds the steps still to do, by name and seed."""
    total = 0.0
    for (name, _), steps in untrained.items():
        kind = "baseline" if isinstance(config.classifiers[name], BaselineClassifier) else "emodc"
        total += steps * _TRAIN_STEP[kind] / _TRAIN_SPEEDUP
    return total


def cell_seconds(config: Config, planned: PlannedCell, workers: int) -> float:
    """Wall time of one cell."""
    spec = config.classifiers[planned.cell.classifier]
    evaluation = getattr(spec, "evaluation", None)
    if evaluation is not None:
        verdict = _FORWARD["emodc"] * evaluation.steps
        gradient = _FORWARD["emodc"] * min(evaluation.attack_steps, evaluation.steps) * _GRADIENT
    else:
        views = int(planned.cell.severity) if planned.cell.family == "views" else 1
        verdict = _FORWARD["other"] * views
        gradient = verdict * _GRADIENT
    queries = _QUERIES.get(planned.cell.perturbation, 0)
    pictures = len(planned.sample_ids) * (verdict + queries * gradient)
    return (pictures + len(planned.other_prompts) * verdict) / workers
