"""Persons who pose every expression, several times, as in a laboratory."""

from dataclasses import replace

from bench.data import faces
from bench.data.like.cast import Cast


def posed(cast: Cast, label: str, person: int, take: int, share: float = 1.0) -> faces.Face:
    """A face of a person, whoever else the cast would show in that take.

    Args:
        cast: Draws.
        label: The expression.
        person: Number of the person, from 0.
        take: Another take of the same expression differs in strength, pose and light.
        share: How much of the expression is shown, in [0, 1].
    """
    # Contempt is drawn as disgust; a take of its own keeps the two apart.
    sampled = cast.face(label, f"{label} {take}", person)
    muscles = sampled.action_units
    units = {name: share * getattr(muscles, name) for name in faces.AU_NAMES}
    return replace(
        sampled,
        identity=cast.face("neutral", "posed", person).identity,
        action_units=faces.ActionUnits(**units),
        intensity=share * sampled.intensity,
    )


def turned(face: faces.Face, yaw: float) -> faces.Face:
    """The same face with the head turned: `yaw` radians, positive as in `Face.scene.pose`."""
    return replace(face, scene=replace(face.scene, pose=replace(face.scene.pose, yaw=yaw)))
