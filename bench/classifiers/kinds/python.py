"""Your own classifier, made by a function of yours."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Kind, TrainedWith, register
from bench.util.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config


@register
class PythonClassifier(Kind):
    """Your own classifier: `factory` is "module:function" and returns a torch module."""

    kind: Literal["python"]
    factory: str = Field(pattern=r"^[\w.]+:\w+$")
    class_order: str | list[str] | None = None  # a name in `labels.ORDERS`, or the names; None:
    # the module's attribute `classes`
    trained_with: TrainedWith = Field(default_factory=list)
    check_class_order: bool = True  # on validation pictures, before the sweep
    user_code: ClassVar[bool] = True
    flag: ClassVar[tuple[str, str] | None] = ("python", "factory")

    @field_validator("class_order")
    @classmethod
    def _known(cls, value: str | list[str] | None) -> str | list[str] | None:
        if value is not None:
            try:
                labels.class_names(value)
            except UserError as error:  # as a field's error it is told with the file
                raise ValueError(str(error)) from error
        return value

    @property
    @override
    def wants_order_check(self) -> bool:
        return self.check_class_order

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
