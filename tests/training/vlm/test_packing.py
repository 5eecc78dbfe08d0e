"""Questions put together cost the model one look, and change no answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from xray_training.vlm.collate import Collator, Example, for_model
from xray_training.vlm.config import FrameSettings
from xray_training.vlm.conversation import Conversation, Talk, Turn
from xray_training.vlm.faults import UnlikeTemplate
from xray_training.vlm.loss import tell
from xray_training.vlm.models import Speaker, frame_of, with_quick_patches
from xray_training.vlm.nano import TINY, make_model, make_processor
from xray_training.vlm.packing import SHARED, pack, positions_of, visible

from tests.training.vlm.drawn import draw

SHAPE = FrameSettings(min_pixels=3136, max_pixels=12544)
TURNS = (
    Turn("Is there a knife?", "Yes."),
    Turn("Is there a gun?", "No."),
    Turn("Where is the knife?", "It is at [12, 8, 50, 41]."),
    Turn("Is there a knife?", "Yes, a knife."),
)
IMAGE = 7


@pytest.fixture(scope="module")
def untrained() -> Speaker:
    texts = [text for turn in TURNS for text in (turn.question, turn.answer)]
    processor = make_processor(TINY, SHAPE, texts)
    return Speaker(make_model(TINY, processor, 3).eval(), processor, frame_of(processor, SHAPE))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [draw(rng).picture, draw(rng).picture.resize((84, 56))]


def test_answers_together_are_as_likely_as_alone(untrained: Speaker, pictures: list[Image.Image]) -> None:
    collator = Collator(untrained.processor)
    with torch.inference_mode():
        together = tell(untrained.model, collator([Example(picture, TURNS) for picture in pictures])).by_answer()
        alone = [
            [tell(untrained.model, collator([Example(picture, (turn,))])).by_answer()[0][0] for turn in TURNS]
            for picture in pictures
        ]
    assert torch.tensor(together).flatten().tolist() == pytest.approx(torch.tensor(alone).flatten().tolist(), abs=1e-4)


def test_quick_patches_are_the_same_patches(untrained: Speaker, pictures: list[Image.Image]) -> None:
    batch = Collator(untrained.processor)([Example(picture, TURNS) for picture in pictures])
    quick = with_quick_patches(make_model(TINY, untrained.processor, 3).eval())
    for model in (untrained.model, quick):
        model.zero_grad()
        tell(model, batch).mean.backward()  # type: ignore[no-untyped-call]
    name = "model.visual.patch_embed.proj.weight"
    one, two = (dict(model.named_parameters())[name].grad for model in (untrained.model, quick))
    assert torch.allclose(one, two, rtol=1e-3, atol=1e-6)
    assert quick.state_dict().keys() == untrained.model.state_dict().keys()


def test_the_loss_is_the_models_own(untrained: Speaker, pictures: list[Image.Image]) -> None:
    batch = Collator(untrained.processor)([Example(picture, (TURNS[2],)) for picture in pictures])
    with torch.inference_mode():
        theirs = untrained.model(**for_model(batch), labels=batch["labels"]).loss
        assert float(tell(untrained.model, batch).mean) == pytest.approx(float(theirs), abs=1e-5)


def test_a_conversation_is_what_the_processor_writes(untrained: Speaker, pictures: list[Image.Image]) -> None:
    collator = Collator(untrained.processor)
    for picture in pictures:
        batch = collator([Example(picture, (TURNS[0],))])
        content = [{"type": "image", "image": picture}, {"type": "text", "text": TURNS[0].question}]
        theirs = untrained.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"do_resize": False},
        )
        prompt = batch["input_ids"][0][batch["labels"][0] == -100]
        assert prompt.tolist() == theirs["input_ids"][0].tolist()
        assert torch.equal(batch["pixel_values"], theirs["pixel_values"])
        positions, _ = untrained.model.model.get_rope_index(
            theirs["input_ids"], theirs["mm_token_type_ids"], image_grid_thw=theirs["image_grid_thw"]
        )
        assert torch.equal(batch["position_ids"][..., : len(prompt)], positions)


def test_every_answer_weighs_the_same_where_asked_to(untrained: Speaker, pictures: list[Image.Image]) -> None:
    examples = [Example(pictures[0], TURNS)]
    tokens, answers = (Collator(untrained.processor, per_answer=value)(examples) for value in (False, True))
    assert float(answers["weights"].sum()) == pytest.approx(len(TURNS))
    assert float(tokens["weights"].sum()) == int((tokens["labels"] != -100).sum())


def test_a_question_that_holds_an_image_token_is_refused(untrained: Speaker) -> None:
    with pytest.raises(UnlikeTemplate, match="2 image tokens"):
        Talk(untrained.processor).conversation(Turn("What is <|image_pad|>?", "Nothing."), 4)


words = st.lists(st.integers(10, 14), min_size=1, max_size=6)
grids = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def packs(draw: st.DrawFn) -> tuple[list[Conversation], int, int]:
    rows, columns = draw(grids)
    opening = [*draw(words), *[IMAGE] * (rows * columns)]
    conversations = []
    for question, answer in draw(st.lists(st.tuples(words, words), min_size=1, max_size=5)):
        prompt = [*opening, *question]
        conversations.append(Conversation((*prompt, *answer), len(prompt)))
    return conversations, rows, columns


@given(packs())
@settings(max_examples=60)
def test_a_block_sees_its_own_conversation_and_nothing_else(made: tuple[list[Conversation], int, int]) -> None:
    conversations, rows, columns = made
    packed = pack(conversations, IMAGE, rows, columns)
    seen = visible(packed.blocks)
    for index, conversation in enumerate(conversations):
        ours = np.flatnonzero((packed.blocks == index) | (packed.blocks == SHARED))
        assert tuple(packed.ids[ours]) == conversation.ids
        assert np.array_equal(packed.positions[:, ours], positions_of(conversation.ids, IMAGE, rows, columns))
        assert np.array_equal(np.flatnonzero(seen[ours[-1]]), ours)
        assert tuple(packed.labels[ours][conversation.answer :]) == conversation.ids[conversation.answer :]
        assert set(packed.labels[ours][: conversation.answer]) == {-100}
    # A block begins with a word that is not learned: what stands before it in the sequence is another block's.
    starts = np.flatnonzero(np.diff(packed.blocks, prepend=packed.blocks[0] - 1))
    assert set(packed.labels[starts]) == {-100}


@given(packs())
@settings(max_examples=30)
def test_the_picture_is_there_once(made: tuple[list[Conversation], int, int]) -> None:
    conversations, rows, columns = made
    packed = pack(conversations, IMAGE, rows, columns)
    assert (packed.ids == IMAGE).sum() == rows * columns
