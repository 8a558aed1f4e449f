"""A robustness bench for facial expression classifiers.

    import bench

    results = bench.evaluate(model, data="raf_db", root=DIR, perturbations=["gaussian_noise"])
    print(results.table())

These names are the public Python API; docs/python.md explains them. They are imported when they are
first used, so `import bench` is quick and needs no torch.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bench.api import (
        Comparison,
        RunResults,
        compare,
        corrupt,
        evaluate,
        load_results,
        open_dataset,
        run,
        verify,
    )
    from bench.config import Config
    from bench.util.errors import UserError
else:
    _HOMES = {"Config": "bench.config", "UserError": "bench.util.errors"}

    def __getattr__(name: str) -> object:
        import importlib

        if name not in __all__:
            raise AttributeError(f"module 'bench' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES.get(name, "bench.api")), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *__all__])


__all__ = [
    "Comparison",
    "Config",
    "RunResults",
    "UserError",
    "compare",
    "corrupt",
    "evaluate",
    "load_results",
    "open_dataset",
    "run",
    "verify",
]
