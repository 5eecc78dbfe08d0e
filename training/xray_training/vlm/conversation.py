"""A question about a picture and its answer, as the tokens of the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xray_agent_tools.explainer.picture import Frame
from xray_training.datasets.pairs import Pair, in_pixels
from xray_training.vlm.faults import UnlikeTemplate

_REMEMBERED = 65536


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and answer about a framed picture, boxes written out.

    Attributes:
        question: what is asked.
        answer: the words that are wanted.
        ends: whether the answer ends there; else the first words of an answer, which may go on.
    """

    question: str
    answer: str
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """The tokens of a turn.

    Attributes:
        ids: all tokens, up to and with the one that ends the answer.
        answer: index of the answer's first token; what lies before is the prompt.
    """

    ids: tuple[int, ...]
    answer: int


def turn_of(pair: Pair, frame: Frame, width: int, height: int) -> Turn:
    """The pair in the words of a picture framed to ``width`` by ``height`` pixels.

    Raises:
        DatasetError: the words speak of a box that the pair does not have.
    """
    size = frame.box_size(width, height)
    return Turn(in_pixels(pair.question, pair.places, *size), in_pixels(pair.answer, pair.places, *size))


class Talk:
    """A processor's way of writing conversations about one picture.

    Prompt and answer are turned into tokens apart, as they are when the model answers: no token spans both.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.image_token: int = processor.image_token_id
        self.end: int = self.tokenizer.eos_token_id
        self._encoded: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def prompt(self, question: str) -> str:
        """The text before an answer; one image token stands for the picture."""
        text: str = self.processor.apply_chat_template(_messages(question), tokenize=False, add_generation_prompt=True)
        return text

    def conversation(self, turn: Turn, image_tokens: int) -> Conversation:
        """The tokens of a turn about a picture of that many image tokens.

        Raises:
            UnlikeTemplate: the template does not put exactly one picture before the answer, or does not end answers.
        """
        words = (turn.question, turn.answer)
        if words not in self._encoded:
            if len(self._encoded) >= _REMEMBERED:
                self._encoded.clear()
            self._encoded[words] = self._encode(*words)
        prompt, answer = self._encoded[words]
        place = prompt.index(self.image_token)
        ids = prompt[:place] + (self.image_token,) * image_tokens + prompt[place + 1 :]
        return Conversation(ids + (answer if turn.ends else answer[:-1]), len(ids))

    def _encode(self, question: str, answer: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        prompt = self.prompt(question)
        whole: str = self.processor.apply_chat_template(_messages(question, answer), tokenize=False)
        if not whole.startswith(prompt):
            raise UnlikeTemplate(
                "the chat template writes a prompt differently once it is answered: give the model the template of "
                "Qwen2.5-VL"
            )
        before = self._tokens(prompt)
        if before.count(self.image_token) != 1:
            raise UnlikeTemplate(
                f"a prompt holds {before.count(self.image_token)} image tokens in place of one: use a template that "
                "shows the picture once, and take image tokens out of the questions"
            )
        after = self._tokens(whole[len(prompt) :])
        if self.end not in after:
            raise UnlikeTemplate(
                "the chat template does not end an answer: give the tokenizer its end token as eos_token"
            )
        return before, after[: after.index(self.end) + 1]

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _messages(question: str, answer: str | None = None) -> list[dict[str, Any]]:
    asked: Sequence[dict[str, str]] = ({"type": "image"}, {"type": "text", "text": question})
    messages: list[dict[str, Any]] = [{"role": "user", "content": list(asked)}]
    if answer is not None:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return messages
