"""Several questions about one picture in one sequence, each as if it were asked alone.

The picture and whatever else all prompts begin with stand first and once; the rest of each conversation follows as a
block. A block sees the common beginning and itself, and its positions go on from that beginning: the model computes
for each answer what it would compute without the others, and the vision tower runs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from xray_training.vlm.conversation import Conversation

IGNORED = -100
"""The label of a token that the loss leaves out."""
SHARED = -1
"""The block of tokens that every conversation begins with."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sequenced:
    """One sequence of n tokens.

    Attributes:
        ids: (n,) tokens.
        labels: (n,) the token itself where it belongs to an answer, else IGNORED.
        blocks: (n,) index of the conversation, or SHARED.
        positions: (3, n) temporal, height and width positions of Qwen's M-RoPE.
    """

    ids: Ints
    labels: Ints
    blocks: Ints
    positions: Ints


def positions_of(ids: Sequence[int], image_token: int, rows: int, columns: int) -> Ints:
    """Positions (3, n) of a conversation about one picture of rows x columns image tokens.

    Words count on one by one; the picture's tokens share a temporal position and count rows and columns from it;
    words after it go on from its longer side (M-RoPE of Qwen2-VL, arXiv 2409.12191, section 2.1).
    """
    tokens = np.asarray(ids)
    first = int(np.argmax(tokens == image_token))
    count = rows * columns
    text = np.arange(len(tokens))
    text[first + count :] += max(rows, columns) - count
    positions = np.stack([text, text, text])
    positions[0, first : first + count] = first
    positions[1, first : first + count] = first + np.repeat(np.arange(rows), columns)
    positions[2, first : first + count] = first + np.tile(np.arange(columns), rows)
    return positions


def pack(conversations: Sequence[Conversation], image_token: int, rows: int, columns: int) -> Sequenced:
    """Put conversations about one picture into one sequence.

    Args:
        conversations: at least one; each prompt holds the picture's ``rows * columns`` image tokens.
        image_token: the token that stands for a part of the picture.
        rows: rows of image tokens.
        columns: columns of image tokens.
    """
    shared = _common(conversations) if len(conversations) > 1 else 0
    first = conversations[0]
    ids = [np.asarray(first.ids[:shared], dtype=np.int64)]
    labels = [np.full(shared, IGNORED, dtype=np.int64)]
    blocks = [np.full(shared, SHARED, dtype=np.int64)]
    positions = [positions_of(first.ids, image_token, rows, columns)[:, :shared]]
    for index, conversation in enumerate(conversations):
        tokens = np.asarray(conversation.ids, dtype=np.int64)
        wanted = np.where(np.arange(len(tokens)) >= conversation.answer, tokens, IGNORED)
        ids.append(tokens[shared:])
        labels.append(wanted[shared:])
        blocks.append(np.full(len(tokens) - shared, index, dtype=np.int64))
        positions.append(positions_of(conversation.ids, image_token, rows, columns)[:, shared:])
    return Sequenced(
        np.concatenate(ids), np.concatenate(labels), np.concatenate(blocks), np.concatenate(positions, axis=1)
    )


def _common(conversations: Sequence[Conversation]) -> int:
    """How many tokens all prompts begin with.

    The last token of a prompt is never counted, because a block has to begin with one: it predicts the answer's first.
    """
    prompts = [conversation.ids[: conversation.answer - 1] for conversation in conversations]
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False)))


def visible(blocks: Ints) -> NDArray[np.bool_]:
    """Which token (row) sees which (column), (n, n): what stands before it in its block or the common beginning."""
    count = len(blocks)
    before = np.tri(count, dtype=bool)
    ours = (blocks[:, None] == blocks[None, :]) | (blocks[None, :] == SHARED)
    seen: NDArray[np.bool_] = before & ours
    return seen
