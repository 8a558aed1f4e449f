"""The Python API, and what the commands of `bench` call: run, read, compare, corrupt.

Heavy imports happen inside the functions: reading results loads no torch.
"""

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from bench.config import Config
    from bench.data.base import DataSet
    from bench.perturb.base import ModelFree
    from bench.report import Report
    from bench.report.compare import ComparedRow, Pairing, Side
    from bench.report.results import Results
    from bench.report.spec import TableSpec
    from bench.sweep.verify import Verified

#: A path, in either form.
PathLike: TypeAlias = str | Path
#: The levels of each perturbation, or only names.
Wanted: TypeAlias = "Sequence[str] | Mapping[str, Sequence[int | float | str]]"


# ------------------------------------------------------------------------------------------------
# Measuring.


def evaluate(
    model: Any,
    data: "str | Path | Mapping[str, Any]" = "faces",
    perturbations: "Wanted | str | None" = None,
    out: PathLike | None = None,
    *,
    root: PathLike | None = None,
    class_order: str | Sequence[str] | None = None,
    name: str | None = None,
    limit: int | None = None,
    attack_limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> "RunResults":
    """Measure one or several classifiers on clean and on perturbed pictures.

    A torch module takes float32 RGB in [0, 1], (B, 3, H, W) at the pictures' own size, and returns
    logits (B, K):

        results = bench.evaluate(model, data="raf_db", root=DIR, perturbations=["gaussian_noise"])

    Args:
        model: A torch module; a function from images to logits; the name of a classifier of the
            default run, such as "emodc_amdit" (trained first); "module:function"; a line as of
            `bench run --model`, such as "hf:FOLDER"; the folder of a checkpoint; an entry of a
            config, such as `{"kind": "baseline", ...}`; or several of these by name,
            `{"mine": model, "theirs": other}`.
        data: A data set of `bench data list`, a folder of pictures, or a config's `data`.
        perturbations: Names, which stand for all their levels, or levels by name:
            `{"gaussian_noise": [1, 3], "pgd": ["4/255"]}`. None: those of the default run; []:
            clean pictures alone.
        out: Folder of the results; the same call continues there. None: a temporary one, which goes
            with the results.
        root: Folder of a named data set.
        class_order: The classes of the logits, or the name of a known order, for models without an
            attribute `classes`.
        name: What tables call the model; from its class if not given.
        limit: Test samples of each cell at most.
        attack_limit: Of each attack's cell; None: 49, as in the default run.
        seed: Of data, perturbations, training and evaluation noise.
        device: "auto", "cpu", "cuda" or "cuda:N".
        quiet: Show no progress.

    Returns:
        The results.

    Raises:
        UserError: With a sentence that says what is wrong, and the way out.
    """
    models = _models(model, name)
    entries = {key: own for key, value in models.items() if (own := _entry(value)) is not None}
    objects = {key: value for key, value in models.items() if key not in entries}
    with _offered(objects, class_order) as live:
        content = {
            "seed": seed,
            "limit": limit,
            "data": _data(data, root),
            "classifiers": {key: live.get(key) or entries[key] for key in models},
            # An object of this process cannot be sent to another one.
            "execution": {"device": device, **({"workers": 1} if live else {})},
        }
        config = _with_perturbations(content, perturbations, attack_limit)
        return run(config, out, quiet=quiet)


def run(
    config: "Config | Mapping[str, Any] | PathLike" = "default",
    out: PathLike | None = None,
    *,
    quiet: bool = False,
    command: Sequence[str] = (),
    fresh: bool = False,
    worker: str | None = None,
    retry_failed: bool = False,
) -> "RunResults":
    """Do a whole run, or what is left of it: train what is missing, sweep, store.

    Args:
        config: A config, its content, a YAML file, or the name of a shipped one.
        out: Folder of checkpoints and results. None: a temporary one, which goes with the results.
        quiet: Show no progress.
        command: What followed `bench` on the command line, for the manifests.
        fresh: Measure everything anew; checkpoints are kept.
        worker: "I/N": begin with part I of N of the work, numbered from 0, and leave to other runs
            at `out` what they are at.
        retry_failed: Try again what could not be computed in a run with `errors: record`.

    Returns:
        The results.

    Raises:
        UserError: With a sentence that says what is wrong, and the way out; with exit code 0 if a
            worker leaves work to others.
    """
    from bench.sweep.run import run as sweep
    from bench.sweep.together import WorkPart
    from bench.util.progress import Reporter

    settled = _config(config)
    folder = Path(tempfile.mkdtemp(prefix="bench-") if out is None else out).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    results = RunResults(folder)
    if out is None:
        weakref.finalize(results, shutil.rmtree, folder, ignore_errors=True)
    part = None if worker is None else WorkPart.parsed(worker)
    sweep(
        settled,
        folder,
        Reporter(quiet),
        command=command,
        fresh=fresh,
        part=part,
        retry_failed=retry_failed,
    )
    return results


def _config(config: "Config | Mapping[str, Any] | PathLike") -> "Config":
    from bench.config import Config, load, parse

    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return parse(dict(config), "the config")
    return load(Path(config).expanduser())


def _models(model: Any, name: str | None) -> dict[str, Any]:
    """Models by their names in tables."""
    from bench.live import name_of
    from bench.util.errors import UserError

    if isinstance(model, Mapping) and "kind" not in model:
        if name is not None:
            raise UserError("several models have their own names; leave `name` out.")
        return dict(model)
    if name is None:
        named = isinstance(model, str | Path)
        name = Path(str(model).rpartition(":")[2]).name if named else name_of(model)
        name = "classifier" if isinstance(model, Mapping) else name.lower().replace("-", "_")
    return {name: model}


def _entry(model: Any) -> Any:
    """The config's entry of a model that is named; None for an object of this process."""
    from bench.classifiers.kinds import entry, named_kinds
    from bench.config import load
    from bench.plugins import find
    from bench.util.errors import unknown

    if isinstance(model, Mapping):
        return dict(model)
    if hasattr(model, "model_dump"):  # a section of a config
        return model.model_dump(mode="json")
    if not isinstance(model, str | Path):
        return None
    if Path(model).expanduser().is_dir():
        return {"kind": "checkpoint", "path": str(Path(model).expanduser())}
    if ":" in str(model):
        named = str(model).partition(":")[0].rpartition("=")[2] in named_kinds()
        return entry(str(model) if named else f"python:{model}")[1].model_dump(mode="json")
    shipped = load(Path("default")).classifiers
    if str(model) not in shipped and find("classifier", str(model)) is not None:
        return {"kind": str(model)}
    if str(model) not in shipped:
        raise unknown("classifier", str(model), shipped)
    return shipped[str(model)].model_dump(mode="json")


@contextlib.contextmanager
def _offered(
    objects: Mapping[str, Any], class_order: str | Sequence[str] | None
) -> Iterator[dict[str, dict[str, Any]]]:
    """The config's entries of models that are objects."""
    from bench import live
    from bench.util.errors import UserError

    if not objects:
        yield {}
        return
    for name, model in objects.items():
        if class_order is None and getattr(model, "classes", None) is None:
            raise UserError(
                f"model {name!r}: say which class each logit is, by class_order=[...] or by an "
                "attribute `classes` of the model."
            )
    order: dict[str, Any] = {}
    if class_order is not None:
        known = isinstance(class_order, str)
        order = {"class_order": class_order if known else list(class_order)}
    with live.offered(objects) as entries:
        yield {name: entry | order for name, entry in entries.items()}


def _data(data: "str | Path | Mapping[str, Any]", root: PathLike | None) -> Any:
    from bench.data.open import named

    if isinstance(data, Mapping):
        return dict(data)
    return named(str(data), None if root is None else Path(root)).model_dump(mode="json")


def _with_perturbations(
    content: dict[str, Any], wanted: "Wanted | str | None", attack_limit: int | None
) -> "Config":
    """The config, with perturbations as they were asked for."""
    from bench.config import load, parse

    usual = load(Path("default")).perturbations
    where = "bench.evaluate"
    limit = {"attack_limit": attack_limit or usual.attack_limit}
    if isinstance(wanted, Mapping):
        return parse(content | {"perturbations": _by_section(wanted) | limit}, where)
    table = usual.model_dump(mode="json") | limit
    config = parse(content | {"perturbations": table}, where)
    if wanted is None:
        return config
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return config.select(perturbations=names or ["clean"])


def _by_section(wanted: Mapping[str, Sequence[int | float | str]]) -> dict[str, Any]:
    """Levels by name -> a config's perturbations."""
    from bench.perturb import ATTACKS, CONTINUOUS, CORRUPTIONS
    from bench.plugins import find
    from bench.util.errors import unknown

    found: dict[str, Any] = {}
    for name, levels in wanted.items():
        if name in CONTINUOUS:
            found.setdefault("levels", {})[name] = list(levels)
        elif name in CORRUPTIONS or find("corruption", name):
            found.setdefault("corruptions", {})[name] = list(levels)
        elif name in ATTACKS or find("attack", name):
            found.setdefault("attacks", {})[name] = list(levels)
        elif name == "certified":
            found["certified"] = {"sigma": list(levels)}
        elif name != "clean":
            known = [*CORRUPTIONS, *CONTINUOUS, *ATTACKS, "certified"]
            raise unknown("perturbation", name, known)
    return found


# ------------------------------------------------------------------------------------------------
# Reading.


def load_results(out: PathLike) -> "RunResults":
    """The results that a run stored in a folder, finished or not; no model is loaded.

    Raises:
        UserError: When they are first looked at, if there are none.
    """
    return RunResults(Path(out).expanduser())


class RunResults:
    """What a run measured. Everything is read from its folder when it is first asked for.

    Attributes:
        out: The folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out

    @cached_property
    def measured(self) -> "Results":
        """Everything that a report shows (`bench.report.results`)."""
        from bench.report.results import read

        return read(self.out)

    @property
    def classifiers(self) -> list[str]:
        """Names of the classifiers, in the config's order."""
        from bench.store.store import Store

        return list(dict.fromkeys(cell.classifier for cell in Store(self.out).planned()))

    def table(self) -> "pd.DataFrame":
        """A row per classifier: accuracy in percent with its 95% interval.

        Columns are those of the report's first table: clean pictures, the mean over the severities
        of each corruption ("gaussian noise"), and each attack at the budget where classifiers
        differ most ("pgd 4/255"). `to_pandas` has every level as numbers.
        """
        import pandas as pd

        from bench.report.page import summary_table

        spec = summary_table(self.measured.groups)
        rows = [[_shown(value) for value in row] for row in spec.rows]
        return pd.DataFrame(rows, columns=list(spec.header)).set_index("classifier")

    def to_pandas(self) -> "pd.DataFrame":
        """A row per cell: fractions with the ends of their 95% intervals, n, cost."""
        from bench.report.write import summary_frame

        return summary_frame(self.measured.complete).infer_objects()

    def rows(self) -> "pd.DataFrame":
        """A row per picture and cell: label, prediction, logits, d_p, evaluations, seconds."""
        import pandas as pd

        from bench.store.store import Store

        store, frames = Store(self.out), []
        for result in self.measured.complete:
            cell = result.cell
            where: dict[str, str | int] = {
                "classifier": cell.classifier,
                "perturbation": cell.perturbation,
                "severity": cell.severity,
                "seed": cell.seed,
            }
            rows = store.rows(result.manifest)
            for place, (column, value) in enumerate(where.items()):
                rows.insert(place, column, value)
            frames.append(rows)
        return pd.concat(frames, ignore_index=True)

    def plot(self) -> "Figure":
        """Accuracy against severity (of attacks: budget), with 95% intervals.

        Raises:
            UserError: If only clean pictures were measured.
        """
        from bench.report.figures.curves import curve_drawings
        from bench.report.figures.drawing import house_style
        from bench.util.errors import UserError

        with house_style():
            for group in self.measured.groups:
                for family in ("corruption", "attack"):
                    for drawing in curve_drawings(group, family):
                        return drawing.figure
        raise UserError("only clean pictures were measured; there is no severity to draw.")

    def report(
        self,
        reference: str | None = None,
        workers: int = 1,
        style: str = "paper",
        formats: Sequence[str] = ("png",),
    ) -> "Report":
        """Write tables, figures and one HTML page to OUT/report, from the stored results alone.

        Args:
            reference: The classifier whose errors are the unit of mCE; None: the first
                discriminative one.
            workers: Processes that write many figures side by side.
            style: Of figures: "paper", or "talk" with larger type and thicker lines.
            formats: Of figures, besides PNG: "pdf", "svg".

        Returns:
            What was written; its `folder` has `index.html`.
        """
        from bench.report import write_report

        return write_report(self.out, reference, workers, style, formats)

    def __getitem__(self, classifier: str) -> "Side":
        """One classifier of the run, for `compare`."""
        from bench.report.compare import sides

        text = f"{self.out}:{classifier}"
        return sides(text, text, self.out)[0]

    def __repr__(self) -> str:
        """The folder, and the table."""
        from bench.util.errors import UserError

        try:
            return f"results in {self.out}\n{self.table().to_string()}"
        except UserError as error:
            return f"results in {self.out}: {error}"

    def _repr_html_(self) -> str:
        html: str = self.table().to_html()
        return html


def _shown(value: Any) -> str:
    from bench.report.spec import ABSENT

    return ABSENT if value is None else str(value)


def verify(results: PathLike, *, samples: int = 200, seed: int = 0) -> "Verified":
    """Compute random rows of a run anew and compare them with what is stored.

    Args:
        results: Folder of the run, with its checkpoints.
        samples: How many rows.
        seed: Names the draw.

    Returns:
        What was found: `faults`, `checked`, `equal`, and a `verdict` in one line.

    Raises:
        UserError: If there is no readable run.
    """
    from bench.sweep.verify import verify as found
    from bench.util.progress import Reporter

    return found(Path(results).expanduser(), Reporter(), samples, seed)


def compare(
    a: "RunResults | Side | PathLike",
    b: "RunResults | Side | PathLike",
    out: PathLike = "results/runs/robustness",
) -> "Comparison":
    """Compare two runs, or two classifiers, on the same pictures: B less A.

        bench.compare(results["mine"], results["theirs"])

    Args:
        a: Results, one classifier of them, the folder of a run, "RUN:CLASSIFIER", or the name of a
            classifier of the run in `out`. Results of one classifier stand for that classifier.
        b: What is compared with it, likewise.
        out: See `a`.

    Raises:
        UserError: If there is no such run or classifier, or nothing can be compared.
    """
    from bench.report.compare import compare as compared
    from bench.report.compare import pair, sides

    first, second = sides(_side(a), _side(b), Path(out).expanduser())
    pairing = pair(first, second)
    return Comparison(first, second, pairing, compared(pairing.pairs))


def _side(side: "RunResults | Side | PathLike") -> str:
    from bench.report.compare import Side

    if isinstance(side, Side):
        return side.text if side.classifier is None else f"{side.root}:{side.classifier}"
    if not isinstance(side, RunResults):
        return str(side)
    names = side.classifiers
    return f"{side.out}:{names[0]}" if len(names) == 1 else str(side.out)


class Comparison:
    """Paired differences of two runs or classifiers, with intervals and exact tests.

    Attributes:
        a: The one side.
        b: The other.
        pairing: Which cells were compared, and which could not be.
        rows: A difference each.
    """

    def __init__(self, a: "Side", b: "Side", pairing: "Pairing", rows: "list[ComparedRow]") -> None:
        self.a, self.b, self.pairing, self.rows = a, b, pairing, rows

    def spec(self) -> "TableSpec":
        """As a table of the report."""
        from bench.report.compare import table

        return table(self.a, self.b, self.rows)

    def table(self) -> "pd.DataFrame":
        """Accuracies and differences as text with their intervals."""
        import pandas as pd

        spec = self.spec()
        return pd.DataFrame(
            [[_shown(value) for value in row] for row in spec.rows], columns=list(spec.header)
        )

    def to_pandas(self) -> "pd.DataFrame":
        """A row per difference; fractions, with the ends of their 95% intervals."""
        import pandas as pd

        return pd.json_normalize(self.to_dict()["rows"], sep="_")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as `bench compare --json` prints it."""
        from bench.report.compare import as_json

        return as_json(self.a, self.b, self.pairing, self.rows)

    def save(self, path: Path) -> None:
        """Write the table as Markdown, CSV or LaTeX, by the file's name."""
        from bench.report.present import renderer
        from bench.util.files import atomic

        render = renderer(path)
        with atomic(path) as scratch:
            scratch.write_text(render(self.spec()), encoding="utf-8")

    def show(self, console: "Console") -> None:
        """Print the tables and what they say."""
        from bench.report.compare import show

        show(self.a, self.b, self.pairing, self.rows, console)

    def __repr__(self) -> str:
        """The outcome in words, then the table."""
        from bench.report.compare import sentences

        return "\n".join([*sentences(self.pairing, self.rows), self.table().to_string()])

    def _repr_html_(self) -> str:
        html: str = self.table().to_html()
        return html


# ------------------------------------------------------------------------------------------------
# Data and corruptions by themselves.


def open_dataset(
    name: PathLike, root: PathLike | None = None, seed: int = 0, **options: Any
) -> "DataSet":
    """Open a data set.

        faces = bench.open_dataset("faces", test=70)
        sample = faces.samples("test")[0]
        picture, label = faces.picture(sample), sample.label

    Args:
        name: A data set of `bench data list`, or a folder of pictures.
        root: Folder of a named data set.
        seed: Of drawn faces.
        options: Choices of protocol, such as `fold=2`.

    Raises:
        UserError: If there is no such data set, or its files are not what they should be.
    """
    from bench.data.open import named
    from bench.data.open import open_dataset as open_

    return open_(named(str(name), None if root is None else Path(root), options), seed)


def corrupt(
    pictures: "np.ndarray",
    name: str,
    severity: int | float | str,
    *,
    seed: int = 0,
    ids: Sequence[str] | None = None,
    dataset: str = "pictures",
) -> "np.ndarray":
    """Corrupt pictures as a run does.

        noisy = bench.corrupt(pictures, "gaussian_noise", 3)

    Args:
        pictures: uint8 RGB, (N, H, W, 3), or one, (H, W, 3).
        name: A corruption of `bench perturb list`, or a perturbation with continuous levels.
        severity: 1 to 5; of continuous levels a number, such as a sigma.
        seed: Run seed. The same seed, data set, id and severity give the same draws.
        ids: Sample ids, (N,); "0", "1", ... if not given.
        dataset: Name of the data set; with that of a run and its ids, the pixels are the run's.

    Returns:
        uint8, of the same shape.

    Raises:
        UserError: If there is no such corruption or severity.
    """
    import numpy as np

    from bench.perturb.base import Address
    from bench.util.errors import UserError

    perturbation = _corruption(name)
    pixels = np.asarray(pictures)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise UserError(
            "pictures are uint8 RGB of shape (N, H, W, 3) or (H, W, 3), got "
            f"{pixels.dtype} {pixels.shape}."
        )
    batch = pixels[None] if pixels.ndim == 3 else pixels
    names = [str(i) for i in range(len(batch))] if ids is None else list(ids)
    try:
        level = perturbation.level(severity)
        found = perturbation.changed(batch, level, Address(seed, dataset), names)
    except ValueError as error:
        raise UserError(f"{str(error).rstrip('.')}.") from error
    return found[0] if pixels.ndim == 3 else found


def _corruption(name: str) -> "ModelFree":
    from bench import plugins
    from bench.perturb import CONTINUOUS, CORRUPTIONS
    from bench.perturb.user_code import UserCorruption
    from bench.util.errors import unknown

    if name in CORRUPTIONS:
        return CORRUPTIONS[name]
    if name in CONTINUOUS:
        return CONTINUOUS[name]
    factory = plugins.factory("corruption", name)
    if factory is None:
        raise unknown("corruption", name, [*CORRUPTIONS, *CONTINUOUS])
    return UserCorruption(name, factory)
