"""The vocabulary of expressions. Labels are names everywhere; ids live inside readers only.

The same words carry many id orders in public. Here are the names, the known orders, and what tells
whether a file of ids starts at 0 or at 1.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from bench.util.errors import UserError, did_you_mean, unknown

#: The seven basic expressions, in the order of our tables.
BASIC = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
CONTEMPT = "contempt"

#: What MAFW has besides the basic expressions and contempt.
MAFW_ONLY = ("anxiety", "helplessness", "disappointment")

#: The compound expressions of RAF-DB, in its official order.
COMPOUND = (
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

_VOCABULARY = (*BASIC, CONTEMPT, *MAFW_ONLY, *COMPOUND)
_SYNONYMS = {
    "neutral": ("neutrality",),
    "happiness": ("happy", "joy"),
    "sadness": ("sad",),
    "surprise": ("surprised",),
    "fear": ("fearful", "afraid", "scared"),
    "anger": ("angry",),
    "disgust": ("disgusted",),
    CONTEMPT: ("contemptuous",),
    "anxiety": ("anxious",),
    "helplessness": ("helpless",),
    "disappointment": ("disappointed",),
}


#: What splits are called in folders and tables, in any case; by what the bench calls them.
_SPLITS: dict[Literal["train", "val", "test"], tuple[str, ...]] = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation", "valset", "dev", "development", "publictest"),
    "test": ("test", "testing", "testset", "privatetest"),
}


def composed(text: str) -> str:
    """Text in Unicode's form NFC: "è" as one character, where some systems write two in names."""
    return unicodedata.normalize("NFC", text)


def _bare(name: str) -> str:
    """Without case and without what separates words."""
    return re.sub(r"[\s_-]+", "", composed(name)).lower()


_CANONICAL = {
    _bare(word): name for name in _VOCABULARY for word in (name, *_SYNONYMS.get(name, ()))
}

_ALPHABETICAL = tuple(sorted(BASIC))
_FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", CONTEMPT)
_AFFECTNET = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", CONTEMPT)
_CK_PLUS = ("neutral", "anger", CONTEMPT, "disgust", "fear", "happiness", "sadness", "surprise")
_DFEW = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
_HSEMOTION_8 = tuple(sorted((*BASIC, CONTEMPT)))

#: Class orders in public use, by the name of the data set or code base; ids are 0-based. Official
#: files of RAF-DB and DFEW count from 1 (`label_base`).
ORDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "raf_db": ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
        "raf_db_compound": COMPOUND,
        "affectnet": _AFFECTNET,
        "affectnet_7": _AFFECTNET[:7],  # also FERV39k in LSTPNet
        "ma_net": _AFFECTNET[:7],  # also where MA-Net's folders hold RAF-DB
        "fer2013": _FER2013,
        "expw": _FER2013,
        "ferplus": _FERPLUS,
        "alphabetical": _ALPHABETICAL,  # sorted folders: SFEW; FERV39k in S2D
        "dfew": _DFEW,
        "ferv39k": _DFEW,  # as in MAE-DFER, DFER-CLIP and Former-DFER
        "ck_plus": _CK_PLUS,
        "hsemotion_8": _HSEMOTION_8,
        "hsemotion_7": tuple(name for name in _HSEMOTION_8 if name != CONTEMPT),
        "mafw": (*_ALPHABETICAL, CONTEMPT, *MAFW_ONLY),  # as in MAE-DFER
        "mafw_dfer_clip": (*_DFEW, CONTEMPT, *MAFW_ONLY),
        "mafw_alphabetical": tuple(sorted((*BASIC, CONTEMPT, *MAFW_ONLY))),  # as in S2D
    }
)


_SPLIT_OF = {name: split for split, names in _SPLITS.items() for name in names}

#: What folders and fields of splits are called, in any case.
SPLIT_NAMES = tuple(_SPLIT_OF)


#: What stands beside a split's name and changes nothing, as in "Train Data" or "test_images".
_BESIDE = {
    *("data", "dataset", "set", "split", "folder", "files", "faces", "clips", "videos", "frames"),
    *("image", "images", "img", "imgs", "picture", "pictures", "photos", "aligned", "cropped"),
}


def split_of(name: str) -> Literal["train", "val", "test"] | None:
    """The split that a folder or a field of a table names; None if it names none.

    "Training", "valid", "Test Data", "train_images" and "1_train" do; "test2" does not.
    """
    if _bare(name) in _SPLIT_OF:
        return _SPLIT_OF[_bare(name)]
    words = [word for word in re.split(r"[\s_.-]+|(?<=[a-z])(?=[A-Z])", composed(name)) if word]
    words = [word.lower() for word in words if not word.isdigit()]
    found = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
    alone = all(word in _SPLIT_OF or word in _BESIDE for word in words)
    return found.pop() if alone and len(found) == 1 else None


def is_known(name: str) -> bool:
    """Whether a name is the vocabulary's, or another spelling of one of its words."""
    return _bare(name) in _CANONICAL


def near_miss(name: str) -> str:
    """What may be meant by a name that is not in the vocabulary but nearly is; "" for others."""
    if is_known(name):
        return ""
    # Far enough apart are "neutre" and "neutral", "content" and "contempt"; not "hapiness".
    return did_you_mean(_bare(name), _CANONICAL, cutoff=0.82)


def canonical(name: str) -> str:
    """The vocabulary's word for `name`; other names stay as they are, without spaces around them.

    "Happy" is "happiness"; "Happily_Surprised" and "HAPPILY-SURPRISED" are "happily surprised".
    """
    return _CANONICAL.get(_bare(name), composed(name.strip()))


def ordered(names: set[str]) -> tuple[str, ...]:
    """Class order of a data set: the vocabulary's order first, then the alphabet."""
    known = [name for name in _VOCABULARY if name in names]
    return (*known, *sorted(names - set(known)))


def class_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Class names in the vocabulary's words, from the name of an order or from the names.

    Raises:
        UserError: For an unknown order, for a name that comes twice, or for fewer than two.
    """
    if isinstance(given, str):
        if given not in ORDERS:
            raise unknown("class order", given, ORDERS)
        return ORDERS[given]
    names = tuple(canonical(name) for name in given)
    if len(names) < 2:
        raise UserError("A class order has two names or more.")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"The class order has {name!r} twice.")
    return names


def label_base(ids: Iterable[int], count: int, origin: str, declared: int | None = None) -> int:
    """The id of the first class, 0 or 1, as the ids in a file show it.

    Official files and their re-hosts carry the same header over ids from 1 and from 0. Only the
    two ends tell them apart: 0 occurs, or `count` does.

    Args:
        ids: The ids in the file, in any order and number.
        count: How many classes there are.
        origin: The file, for messages.
        declared: 0 or 1 if the user said so; the ids are then only checked.

    Raises:
        UserError: If an id is out of range, if 0 and `count` both occur, or neither does.
    """
    present = {int(number) for number in ids}
    if declared not in (None, 0, 1):
        raise UserError(f"{origin}: label_base is {declared}, but must be 0 or 1.")
    low, high = (0, count) if declared is None else (declared, declared + count - 1)
    strays = sorted(number for number in present if not low <= number <= high)
    if strays:
        base = "" if declared is None else f" with label_base: {declared}"
        raise UserError(
            f"{origin}: the label {strays[0]} is out of range: {count} classes have "
            f"{low} to {high}{base}. Correct the file, or check that it belongs to this data set."
        )
    if declared is not None:
        return declared
    if {0, count} <= present:
        raise UserError(
            f"{origin}: the labels 0 and {count} both occur, but {count} classes are counted "
            f"either from 0 to {count - 1} or from 1 to {count}. Correct the file."
        )
    if not {0, count} & present:
        raise UserError(
            f"{origin}: its labels may count from 0 or from 1: neither 0 nor {count} occurs. "
            "Say which it is with the option label_base: 0 or label_base: 1."
        )
    return 0 if 0 in present else 1


def natural_key(text: str) -> tuple[tuple[tuple[str, int, str], ...], str]:
    """Sort key by which "10" comes after "2"; different strings have different keys.

    Numbers are runs of the ten ASCII digits, of any length; they compare by their value, written
    as (digits, number of digits) because `int` refuses very long ones.
    """
    parts = []
    for words, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
        number = digits.lstrip("0") or digits[:1]
        parts.append((words, len(number), number))
    return tuple(parts), text
