"""Rules and their fields, as people type them."""

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from bench.config.decision import RULES, DecisionConfig, SequentialDecision
from bench.config.parse import sentences
from bench.errors import UserError, unknown

#: What `bench decide` replays where no rule is named.
EVERY_RULE: tuple[DecisionConfig, ...] = (*RULES.values(), SequentialDecision(bet="bounded"))


def chosen_rules(names: Sequence[str], options: Sequence[str]) -> list[DecisionConfig]:
    """The rules that flags stand for.

    Args:
        names: Of `RULES`; all if there are none.
        options: FIELD=VALUE, of a single rule.

    Raises:
        UserError: For a name, field or value that does not exist, or fields of several rules.
    """
    for name in names:
        if name not in RULES:
            raise unknown("rule", name, RULES)
    if not options:
        return [RULES[name] for name in dict.fromkeys(names)] if names else list(EVERY_RULE)
    if len(set(names)) != 1:
        raise UserError("-o sets fields of a single rule; name it with --rule.")
    rule = RULES[names[0]]
    fields: dict[str, Any] = {}
    known = sorted(set(type(rule).model_fields) - {"kind"})
    for option in options:
        field, value = _field(option)
        if field not in known:
            if not known:
                raise UserError(f"The rule {names[0]} has no fields, so there is no {field!r}.")
            raise unknown(f"field of {names[0]}", field, known)
        if field in fields:
            raise UserError(f"-o {field} is given twice.")
        fields[field] = value
    try:
        return [type(rule).model_validate(fields)]
    except ValidationError as error:
        raise UserError(f"--rule {names[0]}: {sentences(error)}.") from error


def _field(option: str) -> tuple[str, Any]:
    name, equals, value = option.partition("=")
    if not equals or not name.strip():
        raise UserError(f"-o {option}: expected FIELD=VALUE, such as -o delta=0.05.")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"-o {option}: {value!r} is not a value.") from error
