"""Any text as LaTeX that pdflatex sets in every font encoding; plain ASCII comes out."""

import re
import unicodedata

_ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",  # straight: in text type it would be a closing quote
    "`": r"\`{}",
    # Harmless in a sentence, but read as an option or a star after the \\ of the row before.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
} | {char: f"\\{char}" for char in "_%&#"}

# What Computer Modern has: signs from elsewhere would be bitmaps, which publishers refuse.
_LETTERS = {
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "ȷ": r"\j{}",
    "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}",
    "¡": r"\textexclamdown{}", "¿": r"\textquestiondown{}",
}  # fmt: skip
_MATH = {
    "≈": r"\approx", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "−": "-", "±": r"\pm",
    "×": r"\times", "·": r"\cdot", "÷": r"\div", "→": r"\rightarrow", "←": r"\leftarrow",
    "∞": r"\infty", "°": r"^{\circ}", "²": "^{2}", "³": "^{3}", "«": r"\ll", "»": r"\gg",
    "•": r"\bullet", "µ": r"\mu", "ℓ": r"\ell", "∈": r"\in", "√": r"\surd",
    "§": r"\mathsection", "¶": r"\mathparagraph", "†": r"\dagger", "‡": r"\ddagger",
    "£": r"\mathsterling", "$": r"\mathdollar",
}  # fmt: skip
_GREEK = {
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "α": "alpha", "β": "beta",
    "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi",
    "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi",
    "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_LATIN_SHAPED = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d",
    "\u0327": "c", "\u0331": "b",
}  # fmt: skip
_GREEK_ACCENTS = {"\u0301": "acute", "\u0308": "ddot"}


def latex_text(text: str) -> str:
    """Text that LaTeX shows as it is, in one line.

    ASCII, Latin letters with an accent, Greek and some signs are set; any other character, such as
    Chinese, an emoji or a control character, is shown as its code point: [U+4E2D]. The words d_p,
    d_n and d_nn become formulas.
    """
    whole = unicodedata.normalize("NFC", " ".join(text.split()))
    shown = "".join(map(_character, whole))
    # Two of these in a row would be drawn as another sign, such as a dash.
    shown = re.sub(r"([',\0])(?=\1)", r"\1{}", shown).replace("\0", "-")
    return re.sub(r"\bd\\_(p|nn?)\b", r"$d_{\1}$", shown)


def _character(char: str) -> str:
    if char in _ASCII or char in _LETTERS:
        return _ASCII.get(char) or _LETTERS[char]
    if char in _MATH:
        return rf"\ensuremath{{{_MATH[char]}}}"
    if char == "-":
        return "\0"  # until dashes are told from hyphens
    if char.isascii() and char.isprintable():
        return char
    return _accented(char) or f"{{[}}U+{ord(char):04X}{{]}}"


def _accented(char: str) -> str | None:
    """A Greek letter, or a letter with one accent; None for others."""
    parts = unicodedata.normalize("NFD", char)
    base, accents = _LATIN_SHAPED.get(parts[0], parts[0]), parts[1:]
    if base in _GREEK:
        letter = f"\\{_GREEK[base]}"
        for accent in accents:
            if accent not in _GREEK_ACCENTS:
                return None
            letter = rf"\{_GREEK_ACCENTS[accent]}{{{letter}}}"
        return rf"\ensuremath{{{letter}}}"
    if not base.isascii() or not base.isalpha() or len(accents) > 1:
        return None
    if not accents:
        return base
    if accents[0] not in _ACCENTS:
        return None
    return rf"\{_ACCENTS[accents[0]]}{{{base}}}"
