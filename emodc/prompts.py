"""From class names to prompts, and the word-level tokenizer that reads them.

A prompt is positive when it names the class of the picture, negative when it names another one.
Two prompts name no class: the null prompt (the empty text) and the non-class prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

NULL_PROMPT = ""
PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"

#: How a class is worded within a template; a class that is not listed is worded by its name.
ADJECTIVES = {
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "fearful",
    "anger": "angry",
    "disgust": "disgusted",
}


@dataclass(frozen=True)
class Prompts:
    """The texts that condition the denoiser, one class prompt per class plus the two others.

    Attributes:
        classes: Class names; their order is the order of the logits.
        template: Text with one ``{}`` for the class word.
        non_class: Text that describes the picture without naming a class.
    """

    classes: tuple[str, ...]
    template: str = "a photo of a {} face"
    non_class: str = "a photo of a face"

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 2:
            raise ValueError(f"EmoDC needs two or more different classes, got {self.classes}")
        if self.template.count("{}") != 1:
            raise ValueError(f"a prompt template needs exactly one {{}}, got {self.template!r}")

    def texts(self) -> list[str]:
        """All prompts: the classes in order, then null, then non-class."""
        words = [ADJECTIVES.get(name, name.replace("_", " ").lower()) for name in self.classes]
        return [*(self.template.format(word) for word in words), NULL_PROMPT, self.non_class]

    @property
    def null_index(self) -> int:
        """Row of the null prompt in `texts()`."""
        return len(self.classes)

    @property
    def non_class_index(self) -> int:
        """Row of the non-class prompt in `texts()`."""
        return len(self.classes) + 1


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
