import pytest

from emodc import Prompts
from emodc.small import word_tokenizer


def test_texts_are_classes_then_null_then_non_class() -> None:
    prompts = Prompts(("happiness", "calm_face"))
    assert prompts.texts() == [
        "a photo of a happy face",
        "a photo of a calm face face",
        "",
        "a photo of a face",
    ]
    assert prompts.texts()[prompts.null_index] == ""
    assert prompts.texts()[prompts.non_class_index] == "a photo of a face"


@pytest.mark.parametrize("classes", [(), ("a",), ("a", "a")])
def test_fewer_than_two_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two or more"):
        Prompts(classes)


def test_a_template_without_a_place_for_the_class_is_refused() -> None:
    with pytest.raises(ValueError, match="template"):
        Prompts(("a", "b"), templates=("a face",))


def test_every_prompt_has_its_own_tokens() -> None:
    texts = Prompts(("happiness", "sadness", "anger")).texts()
    tokenizer = word_tokenizer(texts)
    rows = [tuple(tokenizer(text, padding="max_length").input_ids) for text in texts]
    assert len(set(rows)) == len(texts)
    assert {len(row) for row in rows} == {tokenizer.model_max_length}
    assert tokenizer("a photo of a purple face").input_ids.count(tokenizer.unk_token_id) == 1


def test_templates_words_and_compound_classes() -> None:
    prompts = Prompts(
        ("contempt", "happily_surprised", "fear"),
        templates=("a {} face", "{}"),
        null="nothing",
        words={"fear": "afraid"},
    )
    assert prompts.texts() == [
        "a contemptuous face",
        "contemptuous",
        "a happily surprised face",
        "happily surprised",
        "a afraid face",
        "afraid",
        "nothing",
        "a photo of a face",
    ]
    assert prompts.texts()[prompts.null_index] == "nothing"
    assert prompts.texts()[prompts.non_class_index] == "a photo of a face"


def test_classes_with_the_same_prompt_are_refused() -> None:
    with pytest.raises(ValueError, match="share a prompt"):
        Prompts(("happiness", "joy"), words={"joy": "happy"})


def test_words_for_a_class_that_does_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="hapiness"):
        Prompts(("happiness", "joy"), words={"hapiness": "happy"})
