"""Your own classifier, made by a function of yours."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from bench.classifiers.kinds.base import Brought, ClassOrder, register
from bench.util.section import Factory

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config


@register
class PythonClassifier(Brought):
    """Your own classifier: `factory` is "module:function" and returns a torch module."""

    kind: Literal["python"]
    factory: Factory
    class_order: ClassOrder | None = None  # a name in `labels.ORDERS`, or the names; None:
    # the module's attribute `classes`
    user_code: ClassVar[bool] = True
    flag: ClassVar[tuple[str, str] | None] = ("python", "factory")

    @override
    def identity(self, name: str) -> str:
        import torch

        from bench.classifiers.discriminative import load_python

        return load_python(name, self, torch.device("cpu")).digest

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.discriminative import load_python

        own = load_python(name, self, device)
        own.training = self.declared()
        return own

    @override
    def probe(self, classifier: "Classifier", attacked: bool) -> list[str]:
        from bench.classifiers.discriminative import UserClassifier

        assert isinstance(classifier, UserClassifier)
        return classifier.probe(attacked)
