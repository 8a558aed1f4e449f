"""From class names to prompts, and the word-level tokenizer that reads them.

A prompt is positive when it names the class of the picture, negative when it names another one.
Two prompts name no class: the null prompt (the empty text) and the non-class prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from emodc.settings import PromptTexts

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"

#: How a class is worded within a template. A class that is not listed here or in `Prompts.words` is
#: worded by its name, which suits compound expressions ("happily_surprised") as they stand.
WORDS = {
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "fearful",
    "anger": "angry",
    "disgust": "disgusted",
    "contempt": "contemptuous",
}


@dataclass(frozen=True)
class Prompts(PromptTexts):
    """The texts that condition the denoiser.

    Attributes:
        classes: Class names; their order is the order of the logits.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"EmoDC needs two or more different classes, got {self.classes}")
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f"a prompt template needs exactly one {{}}, got {template!r}")
        strangers = sorted(set(self.words) - set(self.classes))
        if strangers:
            raise ValueError(f"prompt words for {', '.join(strangers)}, which are not classes")
        texts = self.texts()
        if not self.templates or len(set(texts[: self.null_index])) < self.null_index:
            raise ValueError(f"two classes share a prompt, or there is none: {texts}")

    def texts(self) -> list[str]:
        """All prompts: per class its templates in order, then null, then non-class."""
        named = [
            template.format(self._word(name))
            for name in self.classes
            for template in self.templates
        ]
        return [*named, self.null, self.non_class]

    @property
    def null_index(self) -> int:
        """Row of the null prompt in `texts()`; the class prompts are the rows before it."""
        return len(self.classes) * len(self.templates)

    @property
    def non_class_index(self) -> int:
        """Row of the non-class prompt in `texts()`."""
        return self.null_index + 1

    def _word(self, name: str) -> str:
        return self.words.get(name) or WORDS.get(name) or name.replace("_", " ").lower()


def word_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word of `texts`, saved and loaded like any other."""
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: index for index, word in enumerate([PAD, BOS, EOS, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        special_tokens=[(BOS, vocabulary[BOS]), (EOS, vocabulary[EOS])],
    )
    longest = max(len(text.split()) for text in texts) + 2
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
    )
