import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.data import images
from bench.data.images import (
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    Box,
    UnreadablePicture,
    read_picture,
)
from bench.util import rng

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
ORIENTATION = 0x0112


def pixels(height: int, width: int) -> np.ndarray:
    return rng.generator("pictures", height, width).integers(
        256, size=(height, width, 3), dtype=np.uint8
    )


def saved(path: Path, image: Image.Image, kind: str, **options: object) -> Path:
    image.save(path, format=kind, **options)
    return path


def png(path: Path, width: int, height: int, *, bits: int, colour: int, rows: bytes) -> Path:
    """A PNG written by hand: Pillow itself writes no 48-bit pictures and none that are huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def tiff(path: Path, values: np.ndarray, order: str, photometric: int, kind: int = 1) -> Path:
    """An uncompressed TIFF of one strip written by hand, `order` "<" or ">"."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits, tags = values.dtype.itemsize * 8, 10
    after = 8 + 2 + 12 * tags + 4
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits if channels == 1 else after),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, after + 6),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(body)),
        (339, 3, 1, kind),
    ]
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, tags)
    for tag, field, count, value in entries:
        short = field == 3 and count == 1
        data += struct.pack(order + "HHI", tag, field, count)
        data += struct.pack(order + "HH", value, 0) if short else struct.pack(order + "I", value)
    data += struct.pack(order + "I", 0) + struct.pack(order + "HHH", bits, bits, bits)
    path.write_bytes(data + body)
    return path


@pytest.mark.parametrize("kind", LOSSLESS)
def test_pixels_come_as_they_were_saved(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "A.JPEG", Image.fromarray(pixels(7, 5)), kind, **LOSSLESS[kind])
    picture = read_picture(path)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, pixels(7, 5))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("L", kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")),
        *(("1", kind) for kind in ("PNG", "TIFF", "BMP", "GIF")),
        *(("LA", "PNG"), ("P", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("RGBA", "WEBP")),
        *(("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG")),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, kind: str) -> None:
    """A left half of black, a right half of white: an inverted channel would show."""
    image = Image.new("RGB", (16, 8), "white")
    image.paste("black", (0, 0, 8, 8))
    path = saved(tmp_path / "a", image.convert(mode), kind)
    picture = read_picture(path)
    assert picture.shape == (8, 16, 3)
    assert picture[:, :7].max() < 10 and picture[:, 9:].min() > 245


def test_a_cmyk_jpeg_is_inverted_as_adobe_does_it(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    path = saved(tmp_path / "a.jpg", cyan, "JPEG", quality=100)
    assert b"Adobe" in path.read_bytes()
    np.testing.assert_allclose(read_picture(path)[4, 4], (0, 255, 255), atol=3)


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255])])
def test_palettes_give_their_colours(tmp_path: Path, transparency: int | bytes | None) -> None:
    image = Image.new("P", (3, 1))
    colours = [(200, 10, 20), (30, 210, 40), (50, 60, 220)]
    image.putpalette([part for colour in colours for part in colour])
    image.putdata([0, 1, 2])
    options = {} if transparency is None else {"transparency": transparency}
    path = saved(tmp_path / "a.png", image, "PNG", **options)
    np.testing.assert_array_equal(read_picture(path), [colours])


def test_transparency_is_dropped_and_not_filled(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 2), (200, 100, 50, 0))
    path = saved(tmp_path / "a.png", image, "PNG")
    np.testing.assert_array_equal(read_picture(path)[0, 0], (200, 100, 50))


DEEP = np.array([[0, 255, 256, 32_768], [40_000, 65_279, 65_280, 65_535]], np.uint16)
SCALED = np.repeat((DEEP >> 8).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_png_is_scaled_and_not_clipped(tmp_path: Path, channels: int) -> None:
    values = np.repeat(DEEP[..., None], channels, axis=2).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    path = png(tmp_path / "a.png", 4, 2, bits=16, colour=channels - 1, rows=rows)
    np.testing.assert_array_equal(read_picture(path), SCALED)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiff_is_scaled_and_not_clipped(tmp_path: Path, order: str, channels: int) -> None:
    values = DEEP if channels == 1 else np.repeat(DEEP[..., None], 3, axis=2)
    path = tiff(tmp_path / "a.tif", values, order, photometric=1 if channels == 1 else 2)
    np.testing.assert_array_equal(read_picture(path), SCALED)


def test_16_bit_tiff_whose_white_is_zero(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", 65_535 - DEEP, "<", photometric=0)
    np.testing.assert_array_equal(read_picture(path), SCALED)


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, 3), (np.int32, 2), (np.int16, 2)])
def test_numbers_without_a_white_are_refused(tmp_path: Path, dtype: type, kind: int) -> None:
    path = tiff(tmp_path / "a.tif", np.ones((3, 3), dtype), "<", photometric=1, kind=kind)
    with pytest.raises(UnreadablePicture, match="none is known to be white"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """The stored picture is white in its upper left corner; the tag says where that belongs."""
    image = Image.new("L", (48, 32))
    image.paste(255, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path / "a", image, kind, exif=exif)
    turned = orientation >= 5
    picture = read_picture(path)
    assert picture.shape == ((48, 32, 3) if turned else (32, 48, 3))
    bottom = orientation in (3, 4, 7, 8)
    right = orientation in (2, 3, 6, 7)
    corner = picture[-8 if bottom else 8, -8 if right else 8]
    assert corner.min() > 245 and picture.mean() < 60


def test_a_deep_picture_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = saved(tmp_path / "a.png", Image.fromarray(DEEP), "PNG", exif=exif)
    np.testing.assert_array_equal(read_picture(path), np.rot90(SCALED, -1))


@pytest.mark.parametrize("exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 9])
def test_broken_metadata_do_not_matter(tmp_path: Path, exif: bytes) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (6, 4)), "JPEG", exif=exif)
    assert read_picture(path).shape == (4, 6, 3)


def test_an_orientation_that_does_not_exist(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (6, 4)), "JPEG", exif=exif)
    assert read_picture(path).shape == (4, 6, 3)


WHOLE: dict[str, dict[str, object]] = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "PNG": {},
    "BMP": {},
    "GIF": {},
    "WEBP": {},
    "TIFF": {},
    "TIFF compressed": {"compression": "tiff_lzw"},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_no_beginning_of_a_file_gives_half_a_picture(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels(24, 20))
    image.save(buffer, format=kind.split()[0], **WHOLE[kind])
    data, path = buffer.getvalue(), tmp_path / "a"
    path.write_bytes(data)
    whole, refused = read_picture(path), 0
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_picture(path), whole)
        except UnreadablePicture:
            refused += 1
    assert refused > 0.9 * len(data) / 7


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = saved(
        tmp_path / "a", frames[0], kind, save_all=True, append_images=frames[1:], **options
    )
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert np.unique(read_picture(path).reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


def test_one_pixel(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")
    assert read_picture(path, Box(0, 0, 1, 1)).tolist() == [[[1, 2, 3]]]


def test_suffixes_are_lower_case_and_meant_for_comparing_in_lower_case() -> None:
    assert all(suffix == suffix.lower() for suffix in PICTURE_SUFFIXES)
    assert {Path(name).suffix.lower() for name in ("A.JPG", "b.Jpeg", "c.TIF")} <= PICTURE_SUFFIXES


def test_a_hundred_megapixels_are_read_without_a_warning(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("1", (12_500, 8_000), 1), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path, Box(12_490, 7_990, 20, 20)).shape == (10, 10, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_strips_are_the_whole(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(pixels(23, 7))
    image = image.quantize(16) if mode == "P" else image.convert(mode)
    path = saved(tmp_path / "a", image, "TIFF")
    whole = read_picture(path)
    for strip in (1, 14, 15, 7 * 22):
        monkeypatch.setattr(images, "_STRIP", strip)
        picture = read_picture(path)
        np.testing.assert_array_equal(picture, whole)
        assert not picture.flags.writeable


@pytest.mark.parametrize(
    ("width", "most"), [(MAX_PIXELS // 1000 + 1, "25,000,000"), (2_000_000, "128,000,000")]
)
def test_larger_ones_are_refused_before_decoding(tmp_path: Path, width: int, most: str) -> None:
    path = png(tmp_path / "a.png", width, 1000, bits=8, colour=2, rows=b"none at all")
    with pytest.raises(UnreadablePicture, match=most):
        read_picture(path)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", 30, 20, bits=8, colour=2, rows=b"too few")
    with pytest.raises(UnreadablePicture, match="cannot be decoded: "):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no picture", "no JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no JPEG, PNG"),
        (b"\x89PNG\r\n\x1a\n", "no JPEG, PNG"),
    ],
)
def test_other_files_are_refused_without_naming_a_path(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UnreadablePicture, match=reason) as caught:
        read_picture(path)
    assert str(tmp_path) not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match="there is no such file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(UnreadablePicture, match="cannot be decoded: Is a directory"):
        read_picture(tmp_path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("boxes") / "a.png"
    return saved(path, Image.fromarray(pixels(9, 11)), "PNG")


@given(st.integers(-12, 12), st.integers(-12, 12), st.integers(-2, 30), st.integers(-2, 30))
def test_boxes_are_cut_to_the_picture(
    small: Path, left: int, top: int, width: int, height: int
) -> None:
    inside = [
        (y, x)
        for y in range(9)
        for x in range(11)
        if 0 <= y - top < height and 0 <= x - left < width
    ]
    box = Box(left, top, width, height)
    if not inside:
        with pytest.raises(UnreadablePicture, match="none of the picture's 11x9"):
            read_picture(small, box)
        return
    (y0, x0), (y1, x1) = inside[0], inside[-1]
    picture = read_picture(small, box)
    np.testing.assert_array_equal(picture, pixels(9, 11)[y0 : y1 + 1, x0 : x1 + 1])


def test_boxes_are_counted_in_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = saved(tmp_path / "a.png", Image.fromarray(pixels(4, 6)), "PNG", exif=exif)
    upright = np.rot90(pixels(4, 6), -1)
    np.testing.assert_array_equal(read_picture(path, Box(1, 3, 2, 9)), upright[3:, 1:3])


@given(st.data())
def test_mutated_files_give_pictures_or_the_one_error(small: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"]))
    buffer = io.BytesIO()
    Image.fromarray(pixels(6, 5)).save(buffer, format=kind)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = small.with_name("mutated")
    path.write_bytes(bytes(content))
    try:
        picture = read_picture(path)
    except UnreadablePicture as error:
        assert str(error) and str(path) not in str(error)
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
