"""`bench perturb ...`."""

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import print_json, tell
from bench.cli.target import Agreed, Options, Root, data_section, settle_agreement

if TYPE_CHECKING:
    import numpy as np

    from bench.perturb import Preset

perturb = typer.Typer(help="Look at corruptions.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PresetName = Annotated[str, typer.Option("--preset", help="A preset of `bench perturb list`.")]
Seed = Annotated[int, typer.Option(min=0, help="Run seed: it addresses all draws.")]


@perturb.command("list")
def list_(json: Json = False) -> None:
    """List presets, their corruptions and the constants at each severity."""
    from bench.perturb import presets

    if json:
        print_json({"presets": presets.as_json(), "levels": presets.levels_as_json()})
    else:
        tell(presets.as_text(min(shutil.get_terminal_size().columns, 120)))


@perturb.command()
def show(
    image: Annotated[str, typer.Argument(help="A file, or a data set as in `bench data show`.")],
    preset: PresetName = "imagecorruptions",
    root: Root = None,
    option: Options = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("corruptions.png"),
    seed: Seed = 0,
    agreed: Agreed = False,
    json: Json = False,
) -> None:
    """Draw a picture under every corruption of a preset, at every severity."""
    from bench.data.sheet import write_png
    from bench.perturb.export import corruption_sheet
    from bench.util.progress import Reporter

    chosen = _preset(preset)
    picture, sample_id, dataset = _shown(image, root, option, seed, agreed)
    with Reporter().task(f"draw {preset}", len(chosen.corruptions)) as task:
        page = corruption_sheet(chosen, picture, sample_id, dataset, seed, task.advance)
    write_png(out, page)
    if json:
        print_json({"image": image, "preset": preset, "sheet": str(out)})
    else:
        tell(f"wrote {out}")


@perturb.command()
def export(
    data: Annotated[str, typer.Option("--data", metavar="NAME|DIR", help="A data set.")],
    out: Annotated[Path, typer.Option(help="New folder, or one to be continued.")],
    preset: PresetName,
    root: Root = None,
    option: Options = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Test samples.")] = None,
    test_only: Annotated[
        bool, typer.Option("--test-only", help="Leave train and validation pictures out.")
    ] = False,
    seed: Seed = 0,
    agreed: Agreed = False,
    json: Json = False,
) -> None:
    """Write a corrupted data set: PNG files and a manifest. The same command resumes."""
    from bench.data.open import open_dataset
    from bench.data.readers import Layout
    from bench.perturb.export import export as write
    from bench.util.progress import Reporter

    chosen, section = _preset(preset), data_section(data, root, option)
    settle_agreement(section, agreed)
    terms = section.terms if isinstance(section, Layout) else None
    reporter = Reporter()
    dataset = open_dataset(section, seed, reporter)
    done = write(dataset, chosen, out, seed, reporter, limit, test_only, terms)
    if done.unreadable:
        tell(f"{len(done.unreadable)} pictures could not be read and are left out", err=True)
    if terms:
        tell(f"The terms of the data set hold for these copies: {terms}.", err=True)
    if json:
        print_json(
            {
                "folder": str(out),
                "pictures": done.pictures,
                "written": done.written,
                "unreadable": list(done.unreadable),
            }
        )
        return
    tell(f"{done.pictures} pictures in {out}, {done.written} of them new")
    if not test_only:
        tell(shlex.join(["bench", "data", "verify", "manifest", "--root", str(out)]))


def _preset(name: str) -> "Preset":
    """The preset less what cannot be applied here, of which it tells."""
    from bench.perturb import PRESETS
    from bench.util.errors import unknown

    known = {own.name: own for own in PRESETS.values() if own.corruptions}
    if name not in known:
        raise unknown("preset of corruptions", name, known)
    chosen, left_out = known[name].here()
    for missing, reason in left_out.items():
        tell(f"left out: {missing}: {reason}", err=True)
    return chosen


def _shown(
    image: str, root: Path | None, option: list[str] | None, seed: int, agreed: bool
) -> "tuple[np.ndarray, str, str]":
    """A picture, its id and its data set's name: of a file, or of the first test sample."""
    from bench.data.images import UnreadablePicture, read_picture
    from bench.data.open import open_dataset
    from bench.data.sheet import small
    from bench.util.errors import UserError
    from bench.util.progress import Reporter

    file = Path(image)
    if file.is_file():
        if root is not None or option:
            raise UserError("--root and --option are for data sets; IMAGE is a file.")
        try:
            return read_picture(file), file.name, "files"
        except UnreadablePicture as error:
            raise UserError(f"{file}: {error}.") from error
    section = data_section(image, root, option)
    settle_agreement(section, agreed)
    dataset = open_dataset(small(section, 1), seed, Reporter())
    sample = dataset.samples("test")[0]
    return dataset.picture(sample), sample.id, dataset.name
