"""From a config's data to a data set."""

from bench.config import ClipsData, CrossData, DataConfig, FacesData
from bench.data.base import DataSet, Split
from bench.data.cross import CrossDataSet
from bench.data.drawn import DrawnDataSet
from bench.data.drawn_clips import DrawnClips
from bench.data.drawn_faces import DrawnFaces
from bench.data.on_disk import open_layout
from bench.progress import Reporter


def open_dataset(data: DataConfig, seed: int, reporter: Reporter | None = None) -> DataSet:
    """Open a data set; what has to be drawn or examined first is done now if a reporter shows it.

    Args:
        data: Which one.
        seed: The run's: of drawn faces.
        reporter: Shows progress.

    Raises:
        UserError: If files are not what they should be, or if their owners' terms were not
            agreed to.
    """
    if isinstance(data, CrossData):
        sides = [open_dataset(side, seed, reporter) for side in (data.train, data.test)]
        return CrossDataSet(*sides)
    if isinstance(data, FacesData | ClipsData):
        return _drawn(data, seed, reporter)
    return open_layout(data, reporter)


def _drawn(data: FacesData | ClipsData, seed: int, reporter: Reporter | None) -> DrawnDataSet:
    sizes: dict[Split, int] = {"train": data.train, "val": data.val, "test": data.test}
    drawn: DrawnDataSet
    if isinstance(data, ClipsData):
        drawn = DrawnClips(sizes, seed, data.domain)
    else:
        drawn = DrawnFaces(sizes, data.difficulty, seed, data.expressions, data.domain)
    if reporter is not None:
        for split in sizes:
            if not drawn.is_cached(split):
                with reporter.task(f"draw {split} {data.kind}", sizes[split]) as task:
                    drawn.pictures(split, task.advance)
    return drawn
