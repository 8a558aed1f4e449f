"""The vocabulary of expressions. Labels are names everywhere; ids live inside readers only."""

#: The seven basic expressions, in the order of our tables.
BASIC = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
CONTEMPT = "contempt"

#: The eleven compound expressions of RAF-DB, in its official order.
COMPOUND: tuple[str, ...] = (
    "happily surprised",
    "happily disgusted",
    "sadly fearful",
    "sadly angry",
    "sadly surprised",
    "sadly disgusted",
    "fearfully angry",
    "fearfully surprised",
    "angrily surprised",
    "angrily disgusted",
    "disgustedly surprised",
)

_SYNONYMS = {
    "neutral": ("neutrality",),
    "happiness": ("happy", "joy"),
    "sadness": ("sad",),
    "surprise": ("surprised",),
    "fear": ("fearful", "afraid", "scared"),
    "anger": ("angry",),
    "disgust": ("disgusted",),
    CONTEMPT: ("contemptuous",),
}
_CANONICAL = {word: name for name, words in _SYNONYMS.items() for word in (name, *words)}


def canonical(name: str) -> str:
    """The vocabulary's word for `name` ("Happy" -> "happiness"); other names stay as they are."""
    return _CANONICAL.get(name.strip().lower(), name.strip())


def ordered(names: set[str]) -> tuple[str, ...]:
    """Class order of a data set: the vocabulary's order first, then the alphabet."""
    known = [name for name in (*BASIC, CONTEMPT) if name in names]
    return (*known, *sorted(names - set(known)))
