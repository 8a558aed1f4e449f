"""Clips: a person whose expression rises, holds and falls while head, eyes and lids move.

A clip is sampled once, as a face at its apex and the laws of its movements; each frame is then a
face of its own, so any frame can be drawn without the others. Time is counted in frames of
1/25 s from the middle frame, in which the expression is at its apex and the head where the law of
single pictures puts it: a classifier of pictures sees in it what it sees in a drawn picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from bench.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSIONS,
    ActionUnits,
    sample_action_units,
)
from bench.faces.canvas import SIZE, Image
from bench.faces.drawing import DRAWING, DRAWINGS
from bench.faces.face import Face, named, sample_identity, styled
from bench.faces.randomness import RandomStream, address_key
from bench.faces.render import draw
from bench.faces.scene import DOMAINS, Domain, Scene, sample_scene

_STYLE = DRAWINGS[DRAWING]
LEAST_FRAMES, MOST_FRAMES = 12, 40
_FRAMES_PER_SECOND = 25.0
_BLINK_REACH = 2.5
"""Frames from a blink's deepest point to the open eye: a fifth of a second in all."""
_NO_BLINK = (0.29, 0.78)
"""Part of a clip in which no blink is deepest: in the shortest clip, too, the lids are open again
in the middle frame."""


@dataclass(frozen=True, slots=True)
class Course:
    """How strongly an expression is shown through a clip; times are shares of the clip.

    Attributes:
        onset: When it begins to rise.
        apex: When it has risen; before the middle frame.
        release: When it begins to fall; after the middle frame.
        offset: When it is over.
    """

    onset: float
    apex: float
    release: float
    offset: float

    def __call__(self, time: float) -> float:
        """Share of the apex that is shown at a time, in [0, 1]."""
        rise = _smooth((time - self.onset) / (self.apex - self.onset))
        fall = _smooth((time - self.release) / (self.offset - self.release))
        return rise * (1.0 - fall)


@dataclass(frozen=True, slots=True)
class Sway:
    """A slow movement to and fro around where the middle frame is.

    Attributes:
        reach: Amplitude, in the moved thing's unit.
        frequency: Hertz.
        phase: Radians, at the middle frame.
    """

    reach: float
    frequency: float
    phase: float

    def __call__(self, frames: float) -> float:
        """Displacement so many frames after the middle one."""
        turn = 2.0 * math.pi * self.frequency / _FRAMES_PER_SECOND * frames
        return self.reach * (math.sin(self.phase + turn) - math.sin(self.phase))


@dataclass(frozen=True, slots=True)
class Movement:
    """What moves besides the expression: head, gaze and lids; `blinks` are shares of the clip."""

    yaw: Sway
    pitch: Sway
    roll: Sway
    scale: Sway
    shift_x: Sway
    shift_y: Sway
    gaze: Sway
    blinks: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Everything that determines a clip.

    Attributes:
        apex: The face of the middle frame, less its grain.
        frame_count: Number of frames.
        course: Intensity of the expression through time.
        movement: What else moves.
        seed: Seed of the data set; it addresses the grain.
        backwards: Whether the last frame comes first.
    """

    apex: Face
    frame_count: int
    course: Course
    movement: Movement
    seed: int
    backwards: bool = False

    def face(self, number: int) -> Face:
        """The face in a frame, numbered from 0."""
        number = self.frame_count - 1 - number if self.backwards else number
        shown = self.course(number / (self.frame_count - 1))
        units = {name: shown * getattr(self.apex.action_units, name) for name in AU_NAMES}
        return replace(
            self.apex,
            intensity=shown * self.apex.intensity,
            action_units=ActionUnits(**units),
            scene=self._scene(number),
        )

    def _scene(self, number: int) -> Scene:
        scene, movement = self.apex.scene, self.movement
        frames = float(number - self.frame_count // 2)
        pose, moment = scene.pose, scene.asymmetry
        open_share = 1.0 - self._lids_closed(number)
        left, right = moment.eye_openings
        grain_key = address_key(
            "drawn-clips", self.seed, self.apex.split, "grain", self.apex.index, number
        )
        return replace(
            scene,
            pose=replace(
                pose,
                yaw=pose.yaw + movement.yaw(frames),
                pitch=pose.pitch + movement.pitch(frames),
                roll=pose.roll + movement.roll(frames),
                scale=pose.scale * (1.0 + movement.scale(frames)),
                shift_x=pose.shift_x + movement.shift_x(frames),
                shift_y=pose.shift_y + movement.shift_y(frames),
            ),
            asymmetry=replace(
                moment,
                eye_openings=(left * open_share, right * open_share),
                gaze=moment.gaze + movement.gaze(frames),
            ),
            camera=replace(scene.camera, grain_key=grain_key),
        )

    def _lids_closed(self, number: int) -> float:
        """How far the lids are closed by a blink, 0 to 1."""
        last = self.frame_count - 1
        distances = [abs(number - blink * last) for blink in self.movement.blinks]
        return max((_smooth(1.0 - d / _BLINK_REACH) for d in distances), default=0.0)


#: What clips show: an expression from onset over apex to offset; or, as a task that no single frame
#: decides, an expression that only appears (onset) or only disappears (offset).
TASKS: dict[str, tuple[str, ...]] = {
    "expression": EXPRESSIONS,
    "direction": ("onset", "offset"),
}


def sample_clip(
    seed: int,
    split: str,
    index: int,
    domain: str | Domain = "default",
    task: str = "expression",
) -> Clip:
    """Samples a clip; the same arguments always give the same one.

    Clips show `EXPRESSIONS` in turn, and person `index // 7`. Persons are addressed as those of
    pictures are, in populations of their own: no person is in two splits, nor in clips and
    pictures. The domains share persons, action units and movements clip by clip.

    Args:
        seed: Seed of the data set.
        split: Name of the split; any name will do.
        index: Number of the clip within the split, from 0.
        domain: A domain's name or a domain.
        task: A name in `TASKS`. An offset clip is made as an onset clip and played backwards, so
            frames of both have one distribution.

    Raises:
        ValueError: If the index is negative or there is no such domain.
    """
    if index < 0:
        raise ValueError(f"a clip's index starts at 0, got {index}")
    if task == "direction":
        return _sample_direction(seed, split, index, named("domain", domain, DOMAINS))
    number, place = divmod(index, len(EXPRESSIONS))
    difficulty = DIFFICULTIES["default"]
    draws = RandomStream("drawn-clips", seed, split, "clip", index)
    shown = EXPRESSIONS[place]
    units, intensity = sample_action_units(draws, shown, difficulty, _STYLE.modelled)
    course = Course(
        onset=draws.uniform(0.0, 0.08),
        apex=draws.uniform(0.34, 0.46),
        release=draws.uniform(0.56, 0.66),
        offset=draws.uniform(0.92, 1.0),
    )
    movement = _sample_movement(draws)
    scene = sample_scene(draws, difficulty, named("domain", domain, DOMAINS))
    person = sample_identity(seed, f"clips-{split}", number)
    apex = styled(Face(split, index, shown, intensity, units, person, scene, _STYLE))
    return Clip(apex, frame_count(seed, split, index), course, movement, seed)


def _sample_direction(seed: int, split: str, index: int, domain: Domain) -> Clip:
    """Person `index // 2` shows an expression other than neutral, in turn from person to person."""
    number, place = divmod(index, 2)
    shown = [name for name in EXPRESSIONS if name != "neutral"]
    expression, difficulty = shown[number % len(shown)], DIFFICULTIES["default"]
    draws = RandomStream("drawn-clips", seed, f"direction-{split}", "clip", index)
    units, intensity = sample_action_units(draws, expression, difficulty, _STYLE.modelled)
    course = Course(
        onset=draws.uniform(0.0, 0.25),
        apex=draws.uniform(0.75, 1.0),
        release=2.0,  # after the clip
        offset=3.0,
    )
    movement = _sample_movement(draws)
    scene = sample_scene(draws, difficulty, domain)
    person = sample_identity(seed, f"clips-direction-{split}", number)
    apex = styled(Face(split, index, expression, intensity, units, person, scene, _STYLE))
    count = frame_count(seed, split, index)
    return Clip(apex, count, course, movement, seed, backwards=place == 1)


def frame_count(seed: int, split: str, index: int) -> int:
    """Number of frames of a clip, without sampling the rest: 12 to 40, all equally likely."""
    length = RandomStream("drawn-clips", seed, split, "frames", index).uniform(
        LEAST_FRAMES, MOST_FRAMES + 1
    )
    return int(length)


def generate_clips(
    seed: int,
    split: str,
    indices: Iterable[int],
    domain: str | Domain = "default",
    task: str = "expression",
) -> Image:
    """Samples and draws clips of a split; returns all their frames, uint8 RGB (N, 64, 64, 3)."""
    clips = [sample_clip(seed, split, index, domain, task) for index in indices]
    images = [draw(clip.face(number)) for clip in clips for number in range(clip.frame_count)]
    return np.stack(images) if images else np.empty((0, SIZE, SIZE, 3), np.uint8)


def _sample_movement(draws: RandomStream) -> Movement:
    def sway(reach: float) -> Sway:
        return Sway(
            reach=draws.uniform(0.2, 1.0) * reach,
            frequency=draws.uniform(0.15, 0.7),
            phase=draws.uniform(0.0, 2.0 * math.pi),
        )

    return Movement(
        yaw=sway(0.10),
        pitch=sway(0.06),
        roll=sway(0.05),
        scale=sway(0.025),
        shift_x=sway(0.025),
        shift_y=sway(0.02),
        gaze=sway(0.5),
        blinks=_sample_blinks(draws),
    )


def _sample_blinks(draws: RandomStream) -> tuple[float, ...]:
    before, after = draws.uniform(0.0, _NO_BLINK[0]), draws.uniform(_NO_BLINK[1], 1.0)
    happens = draws.chance(0.4), draws.chance(0.4)
    return tuple(blink for blink, shown in zip((before, after), happens, strict=True) if shown)


def _smooth(share: float) -> float:
    """Rises from 0 at 0 to 1 at 1 without a jump or a kink."""
    share = min(1.0, max(0.0, share))
    return share * share * (3.0 - 2.0 * share)
