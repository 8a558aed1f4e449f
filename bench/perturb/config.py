"""Which perturbations a run has, at which levels and with which parameters.

corruptions:
gaussian_noise: [1, 3]                                         # severities
fog: {kind: imagecorruptions.fog, amount: [1, 2, 3, 4, 5]}     # constants of one's own
my_fog: {kind: python, factory: "my_module:my_fog", severities: [1, 3]}
attacks:
pgd: [1, "8/255"]                                              # eps, in 1/255
standard: [2, 4]                                               # apgd_ce, apgd_dlr and square
pgd_50: {kind: pgd, eps: [4], steps: 50, step_size: "eps/10", restarts: 2}
di: {kind: torchattacks.DIFGSM, eps: [4], steps: 20}           # any of that package
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from bench import plugins
from bench.perturb import ATTACKS, CONTINUOUS, CORRUPTIONS, PRESETS, SEQUENCES
from bench.perturb.attacks import (
    DRAWS,
    PREFIX,
    SUITES,
    Attack,
    FreshNoise,
    OfTorchattacks,
    any_budget,
)
from bench.perturb.base import Clean, Corruption, Perturbation
from bench.perturb.certified import Certified
from bench.perturb.clips import DEFECTS, AttackedFrames, CorruptedFrames, Temporal
from bench.perturb.user_code import UserAttack, UserCorruption
from bench.util.errors import UserError, unknown
from bench.util.section import Factory, Section

Members = list[tuple[Perturbation, tuple[str, ...]]]
"""Perturbations with their levels, as cells and tables have these."""


def _short_for(field: str, given: Any) -> Any:
    """A list in the place of a mapping is short for one of its fields."""
    if isinstance(given, int | float | str):
        raise ValueError(f"it is a list, such as [{given}], or a mapping of fields")
    return {field: given} if isinstance(given, list | tuple) else given


def _eps(asked: Any) -> float:
    """A budget in 1/255; a number that looks like one of [0, 1] is refused."""
    found = any_budget(asked)
    if isinstance(asked, float) and found < _LEAST:
        raise ValueError(
            f"an eps is in 1/255: for {asked:g} of the range of pixels write {255 * asked:.4g}; if "
            f'{asked:g}/255 is meant, write "{asked:g}/255"'
        )
    return found


_LEAST = 0.1  # of eps as a number: less moves hardly any pixel by a level


class CorruptionSettings(Section):
    """One corruption of a run; further fields are the kernel's constants at each severity."""

    model_config = ConfigDict(extra="allow")

    severities: list[Annotated[int, Field(ge=1)]] | None = None  # all it has
    kind: str | None = None  # a corruption's name, or "python"; its own name in the config
    factory: Factory | None = None  # "module:function", of kind python
    temporal: Temporal | None = None  # of clips: what is drawn anew; None: see usual_temporal

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A list is short for its severities."""
        return _short_for("severities", given)

    @model_serializer(mode="wrap")
    def _as_given(self, handler: Callable[[Any], dict[str, Any]]) -> Any:
        found = {key: value for key, value in handler(self).items() if value is not None}
        return found["severities"] if list(found) == ["severities"] else found

    def made(self, name: str) -> Perturbation:
        """The corruption, by its name in the config.

        Raises:
            UserError: If there is none of its kind, or a constant or severity is wrong.
        """
        kind, where = self.kind or name, f"perturbations.corruptions.{name}"
        if kind in DEFECTS:
            given = {"factory": self.factory, "temporal": self.temporal, **(self.model_extra or {})}
            for field, value in given.items():
                if value is not None:
                    raise UserError(f"{where}: {kind} has no field {field!r}, but severities.")
            return replace(DEFECTS[kind], name=name)
        found = self._of_pictures(name)
        return found if self.temporal is None else CorruptedFrames(found, self.temporal)

    def _of_pictures(self, name: str) -> Corruption | UserCorruption:
        kind, own = self.kind or name, dict(self.model_extra or {})
        where = f"perturbations.corruptions.{name}"
        if factory := _own_code(self, "corruption", kind, CORRUPTIONS, where):
            return UserCorruption(name, factory)
        _require_known("corruption", kind, [*CORRUPTIONS, *DEFECTS])
        corruption = CORRUPTIONS[kind]
        try:
            return corruption if kind == name and not own else corruption.with_constants(name, own)
        except ValueError as error:
            raise UserError(f"{where}: {error}.") from error

    def levels(self, name: str, corruption: Perturbation) -> tuple[str, ...]:
        """The severities, mild to strong."""
        if self.severities is None:
            return corruption.usual_levels
        try:
            return tuple(map(corruption.level, sorted(set(self.severities))))
        except ValueError as error:
            raise UserError(f"perturbations.corruptions.{name}: {error}.") from error


class AttackSettings(Section):
    """One attack of a run; further fields are the attack's parameters."""

    model_config = ConfigDict(extra="allow")

    eps: list[Annotated[float, BeforeValidator(_eps)]] = Field(min_length=1)  # in 1/255
    kind: str | None = None  # an attack's, "torchattacks.NAME" or "python"; its name in the config
    factory: Factory | None = None  # "module:function", of kind python
    frames: int | None = Field(None, ge=1)  # of a clip, that it may change; None: all
    noise: Literal["fixed", "fresh"] | None = None  # fresh: drawn anew at each query and verdict
    draws: Annotated[int, Field(ge=2)] | None = None  # verdicts on each picture, of fresh noise

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A list is short for its budgets."""
        return _short_for("eps", given)

    @model_serializer(mode="wrap")
    def _as_given(self, handler: Callable[[Any], dict[str, Any]]) -> Any:
        found = {key: value for key, value in handler(self).items() if value is not None}
        exact = [int(eps) if eps == int(eps) else eps for eps in found["eps"]]
        found["eps"] = [f"{eps}/255" if eps < _LEAST else eps for eps in exact]
        return found["eps"] if list(found) == ["eps"] else found

    def made(self, name: str) -> Perturbation:
        """The attack, by its name in the config.

        Raises:
            UserError: If there is none of its kind, or a parameter is wrong.
        """
        attack = self._of_pictures(name)
        if self.noise == "fresh":
            return FreshNoise(attack, self.draws or DRAWS)
        if self.draws is not None:
            raise UserError(f"perturbations.attacks.{name}: `draws` is for `noise: fresh`.")
        return attack if self.frames is None else AttackedFrames(attack, self.frames)

    def _of_pictures(self, name: str) -> Attack:
        kind, own = self.kind or name, dict(self.model_extra or {})
        where = f"perturbations.attacks.{name}"
        if factory := _own_code(self, "attack", kind, ATTACKS, where):
            return UserAttack(name, factory)
        try:
            if kind.startswith(PREFIX):
                return OfTorchattacks.made(name, kind, own)
            _require_known("attack", kind, ATTACKS)
            made: type[Attack] = ATTACKS[kind]
            attack: Attack = TypeAdapter(made).validate_python({**own, "name": name})
        except ValidationError as error:
            wrong = "; ".join(_parameter(each) for each in error.errors())
            raise UserError(f"{where}: {wrong}.") from error
        except ValueError as error:
            raise UserError(f"{where}: {error}.") from error
        return attack

    def levels(self, name: str, attack: Perturbation) -> tuple[str, ...]:
        """The budgets, ascending."""
        try:
            return tuple(map(attack.level, sorted(set(self.eps))))
        except ValueError as error:
            raise UserError(f"perturbations.attacks.{name}: field 'eps': {error}.") from error

    def members(self, suite: str) -> dict[str, "AttackSettings"]:
        """The attacks of a suite, which take those of the further fields that they have.

        Raises:
            ValueError: If none of them has such a field.
        """
        own = self.model_extra or {}
        fields = {name: ATTACKS[name].__dataclass_fields__ for name in SUITES[suite]}
        for field in own:
            if not any(field in has for has in fields.values()):
                raise ValueError(f"{suite}: no attack of it has a field {field!r}")
        return {
            name: AttackSettings(
                eps=self.eps,
                noise=self.noise,
                draws=self.draws,
                **{k: v for k, v in own.items() if k in has},
            )
            for name, has in fields.items()
        }


class CertifiedSettings(Section):
    """Certificates by randomised smoothing, of clean pictures."""

    sigma: list[Annotated[float, Field(gt=0, le=2)]] = Field([0.25], min_length=1)  # of the noise
    samples: int = Field(1000, ge=1)  # noisy copies of each picture
    selection: int = Field(100, ge=1)  # others before, that the class is chosen by
    alpha: float = Field(0.001, gt=0, lt=0.5)  # probability that a certificate is wrong

    def made(self) -> Certified:
        """The perturbation."""
        return Certified(self.samples, self.selection, self.alpha)


class Perturbations(Section):
    """Which perturbations, at which levels. The clean pictures are always measured."""

    presets: list[str] = Field(default_factory=list)  # all members, at all severities
    corruptions: dict[str, CorruptionSettings] = Field(default_factory=dict)
    attacks: dict[str, AttackSettings] = Field(default_factory=dict)
    attack_limit: int | None = Field(None, ge=1)  # test samples attacked
    certified: CertifiedSettings | None = None
    certified_limit: int | None = Field(49, ge=1)  # test samples certified
    levels: dict[str, list[float]] = Field(default_factory=dict)  # sigmas, or SNR in dB
    sequences: list[str] = Field(default_factory=list)  # such as rotation
    sequence_limit: int | None = Field(None, ge=1)  # test samples made sequences of

    _left_out: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("levels")
    @classmethod
    def _within_bounds(cls, table: dict[str, list[float]]) -> dict[str, list[float]]:
        for name, levels in table.items():
            if name not in CONTINUOUS:
                known = unknown("perturbation with continuous levels", name, CONTINUOUS)
                raise ValueError(str(known))  # as a field's error it is told with the file
            for level in levels:
                CONTINUOUS[name].level(level)
        return table

    @field_validator("attacks")
    @classmethod
    def _without_suites(cls, table: dict[str, AttackSettings]) -> dict[str, AttackSettings]:
        """An attack that is named itself, too, is as it is given there."""
        found: dict[str, AttackSettings] = {}
        for name, settings in table.items():
            suite = name in SUITES and settings.kind is None
            members = settings.members(name) if suite else {name: settings}
            found |= {k: v for k, v in members.items() if not suite or k not in table}
        return found

    @field_validator("sequences")
    @classmethod
    def _full_names(cls, names: list[str]) -> list[str]:
        """As tables have them; "rotation" is short for "sequences.rotation"."""
        full = [n if n.startswith("sequences.") else f"sequences.{n}" for n in names]
        for name in full:
            if name not in SEQUENCES:
                # As a field's error it is told with the file.
                raise ValueError(str(unknown("sequence", name, SEQUENCES)))
        return list(dict.fromkeys(full))

    @property
    def left_out(self) -> Mapping[str, str]:
        """Members of presets that cannot be applied here, with the reason."""
        return self._left_out

    def names(self) -> list[str]:
        """Names of all perturbations."""
        own = [] if self.certified is None else ["certified"]
        return [*self.corruptions, *self.levels, *self.attacks, *own, *self.sequences]

    def members(self) -> Members:
        """Every perturbation with its levels, in table order; clean pictures first.

        Raises:
            UserError: For a kind, parameter or level that does not exist.
        """
        found: Members = [(Clean(), Clean().usual_levels)]
        for name, corruption in self.corruptions.items():
            made = corruption.made(name)
            found.append((made, corruption.levels(name, made)))
        for name, sizes in self.levels.items():
            continuous = CONTINUOUS[name]
            found.append((continuous, tuple(dict.fromkeys(map(continuous.level, sizes)))))
        for name, settings in self.attacks.items():
            attack = settings.made(name)
            found.append((attack, settings.levels(name, attack)))
        draws = {one.draws for one, _ in found if isinstance(one, FreshNoise)}
        if draws:  # what so many draws cost without an attack
            found.append((FreshNoise(None, max(draws)), FreshNoise().usual_levels))
        if self.certified is not None:
            made = self.certified.made()
            found.append((made, tuple(map(made.level, sorted(set(self.certified.sigma))))))
        found += [(SEQUENCES[name], SEQUENCES[name].usual_levels) for name in self.sequences]
        return found

    def limit_of(self, perturbation: Perturbation) -> int | None:
        """At most so many samples of the data set; None: all."""
        limit: int | None = getattr(self, perturbation.limit) if perturbation.limit else None
        return limit

    def expanded(self) -> "Perturbations":
        """The same with the members of presets among `corruptions`, first and in their order.

        A corruption that is named itself, too, has the severities given there. Members of presets
        that lack something here are left out; see `left_out`.

        Raises:
            UserError: For a preset, corruption, attack, parameter or level that does not exist.
        """
        for name in self.presets:
            if name not in PRESETS:
                raise unknown("preset", name, PRESETS)
        self.members()  # whatever is wrong with one of them is said
        usual, left_out = usual_corruptions(self.presets)
        sequences = dict.fromkeys(s for name in self.presets for s in PRESETS[name].sequences)
        return self._changed(
            left_out,
            presets=[],
            corruptions=usual | self.corruptions,
            sequences=list(sequences | dict.fromkeys(self.sequences)),
        )

    def only(self, names: list[str]) -> "Perturbations":
        """The same with the named perturbations alone; a preset's name stands for its members.

        Known corruptions that are not here are added with all their severities, and continuous
        levels with their usual ones, so any cell of any run can be asked for.

        Raises:
            UserError: For a name that is neither here nor known.
        """
        known = ["clean", *self.names(), *PRESETS, *CORRUPTIONS, *DEFECTS, *CONTINUOUS]
        known += [*SEQUENCES, *SUITES, "certified"]
        for name in names:
            if name in ATTACKS and name not in known:
                raise UserError(
                    f"The config has no budgets for the attack {name}: give it some, such as "
                    f"`perturbations: {{attacks: {{{name}: [1, 2, 4, 8]}}}}`."
                )
            if name not in known and plugins.find("corruption", name) is None:
                raise unknown("perturbation", name, known)
        presets = [PRESETS[name] for name in names if name in PRESETS]
        chosen = set(names).union(
            *(p.corruptions for p in presets),
            *(p.sequences for p in presets),
            *(SUITES[name] for name in names if name in SUITES),
        )
        usual, left_out = usual_corruptions(names)
        table = self.corruptions | {k: v for k, v in usual.items() if k not in self.corruptions}
        return self._changed(
            left_out,
            corruptions={k: v for k, v in table.items() if k in chosen},
            levels={
                name: self.levels.get(name, list(one.levels))
                for name, one in CONTINUOUS.items()
                if name in chosen
            },
            attacks={k: v for k, v in self.attacks.items() if k in chosen},
            certified=(self.certified or CertifiedSettings()) if "certified" in chosen else None,
            sequences=[name for name in SEQUENCES if name in chosen],
        )

    def _changed(self, left_out: Mapping[str, str], **update: Any) -> "Perturbations":
        changed = self.model_copy(update=update)
        changed._left_out = {k: v for k, v in left_out.items() if k not in changed.corruptions}
        return changed


def usual_corruptions(
    names: Sequence[str],
) -> tuple[dict[str, CorruptionSettings], dict[str, str]]:
    """Named corruptions and the members of named presets, in that order, at all severities.

    Returns:
        The corruptions, and why members of presets that cannot be applied here are left out.
    """
    chosen: dict[str, Perturbation] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if name in PRESETS:
            preset, missing = PRESETS[name].here()
            left_out |= missing
            chosen |= preset.corruptions
        elif name in CORRUPTIONS:
            chosen[name] = CORRUPTIONS[name]
        elif name in DEFECTS:
            chosen[name] = DEFECTS[name]
    found = {
        name: CorruptionSettings(severities=[int(level) for level in one.usual_levels])
        for name, one in chosen.items()
    }
    brought = (n for n in names if n not in found and plugins.find("corruption", n) is not None)
    return found | {name: CorruptionSettings() for name in brought}, left_out


def _require_known(what: str, kind: str, known: Iterable[str]) -> None:
    if kind in known:
        return
    sections: dict[str, Iterable[str]] = {
        "corruptions": [*CORRUPTIONS, *DEFECTS],
        "attacks": ATTACKS,
        "levels": CONTINUOUS,
        "presets": PRESETS,
        "sequences": SEQUENCES,
    }
    for section, others in sections.items():
        if kind in others:
            raise UserError(f"{kind!r} is no {what}; it belongs under `perturbations.{section}`.")
    raise unknown(what, kind, known)


def _own_code(
    settings: CorruptionSettings | AttackSettings,
    what: str,
    kind: str,
    known: Mapping[str, Any],
    where: str,
) -> str | None:
    """The function of a user's or of an installed distribution; None if `kind` is the bench's."""
    factory = settings.factory
    if kind != "python":
        if factory is not None:
            raise UserError(f"{where}: `factory` is for `kind: python`.")
        factory = None if kind in known else plugins.factory(what, kind)
        if factory is None:
            return None
    for field in settings.model_extra or ():
        raise UserError(
            f"{where}: unknown field {field!r}; `kind: python` has the parameters that its "
            "function sets itself."
        )
    if factory is None:
        raise UserError(f'{where}: `kind: python` needs `factory: "module:function"`.')
    return factory


def _parameter(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "unexpected_keyword_argument":
        return f"unknown field {field!r}"
    return f"field {field!r}: {error['msg'].removeprefix('Value error, ')}"
