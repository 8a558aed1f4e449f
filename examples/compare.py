"""Is one model better than another? `python examples/compare.py`, half a minute."""

import torch

import bench

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
FACES = {"kind": "faces", "train": 14, "val": 14, "test": 42}

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 7)
)


def darkened(images: torch.Tensor) -> torch.Tensor:
    """A function is a classifier, too."""
    logits: torch.Tensor = model(0.5 * images)
    return logits


results = bench.evaluate(
    {"original": model, "darkened": darkened},
    FACES,
    ["gaussian_blur"],
    class_order=CLASSES,
    quiet=True,
)
print(bench.compare(results["original"], results["darkened"]))
