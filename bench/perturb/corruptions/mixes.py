"""RAF-DB-C's mixes: one corruption after the other, each at a severity of its own.

Greco et al. 2023, doi 10.1007/s11042-022-12790-7; the severities are those of the authors' public
code. Between two parts pixels are bytes here, and unrounded there.
"""

#: Per severity 1-5 of a mix: its parts in order, as (corruption of RAF-DB-C, its severity).
MIXES: dict[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    name: tuple(tuple(zip(parts, severities, strict=True)) for severities in rows)
    for name, parts, rows in (
        (
            "contrast_brightness_up",
            ("brightness_up", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "contrast_brightness_down",
            ("brightness_down", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "noise_low_light_low_contrast",
            ("gaussian_noise", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 2, 3), (3, 2, 4)),
        ),
        (
            "motion_blur_low_light_low_contrast",
            ("motion_blur", "brightness_down", "contrast_down"),
            ((2, 1, 1), (3, 1, 1), (4, 2, 2), (5, 2, 1), (5, 2, 3)),
        ),
        (
            "pixelate_low_light_low_contrast",
            ("pixelate", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 1), (4, 3, 3)),
        ),
    )
}
