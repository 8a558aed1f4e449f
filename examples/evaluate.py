"""Measure a model of your own on drawn faces: `python examples/evaluate.py`, half a minute."""

import torch

import bench

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
FACES = {"kind": "faces", "train": 140, "val": 14, "test": 42}  # or data="raf_db", root=DIR

# Your model: float32 RGB in [0, 1], (B, 3, H, W) -> logits (B, 7).
model = torch.nn.Sequential(
    torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 7)
)


def train(steps: int = 60) -> None:
    """Your training, in whatever way you like."""
    faces = bench.open_dataset("faces", train=140, val=14, test=42)
    samples = faces.samples("train")
    pictures = torch.stack([torch.from_numpy(faces.picture(sample)) for sample in samples])
    images = pictures.permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor([CLASSES.index(sample.label) for sample in samples])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def main() -> None:
    """Train, measure, show."""
    torch.manual_seed(0)
    train()
    results = bench.evaluate(
        model,
        FACES,
        {"gaussian_noise": [1, 3, 5], "pgd": ["1/255", "4/255"]},
        class_order=CLASSES,
        name="linear",
        attack_limit=21,
        quiet=True,
    )
    print(results.table().to_string())


if __name__ == "__main__":
    main()
