"""Asking a model at an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich.progress import Progress
from xray_training.datasets.pairs import Pair, in_pixels

from xray_agent_tools.errors import Misconfigured
from xray_agent_tools.explainer.picture import QWEN2_5_VL, Frame, data_uri
from xray_evals.vqa.answering import Answer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_PICTURES_KEPT = 32
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and how to ask it.

    Attributes:
        url: such as ``http://127.0.0.1:8000/v1``.
        model: its name there.
        key: for the endpoint; any text where none is wanted.
        timeout: seconds that a reply may take.
        max_tokens: longest reply.
        concurrency: questions asked at a time.
        retries: how often a question is asked again after a failure that may pass.
        frame: the sizes in which pictures are sent, and what boxes count in.
    """

    url: str
    model: str
    key: str = "none"
    timeout: float = 120.0
    max_tokens: int = 512
    concurrency: int = 8
    retries: int = 2
    frame: Frame = QWEN2_5_VL

    def answers(self, pairs: Sequence[Pair], folder: Path) -> list[Answer]:
        """Ask every question with its picture and nothing else, as in training; a failure is an answer that failed.

        Args:
            pairs: what to ask.
            folder: that the pairs' pictures are relative to.

        Raises:
            Misconfigured: the extra ``vlm`` is not installed.
        """
        try:
            import openai
        except ImportError as error:
            raise Misconfigured(
                "the client of OpenAI-compatible endpoints is not installed",
                hint="pip install 'xray-agent-tools[vlm]'",
            ) from error
        client = openai.AsyncOpenAI(base_url=self.url, api_key=self.key, timeout=self.timeout, max_retries=self.retries)
        return asyncio.run(self._all(client, pairs, folder))

    async def _all(self, client: AsyncOpenAI, pairs: Sequence[Pair], folder: Path) -> list[Answer]:
        free = asyncio.Semaphore(self.concurrency)
        with Progress() as progress:
            task = progress.add_task(f"asking {self.model}", total=len(pairs))

            async def ask(pair: Pair) -> Answer:
                async with free:
                    answer = await self._one(client, pair, folder)
                progress.advance(task)
                return answer

            async with client:
                return list(await asyncio.gather(*map(ask, pairs)))

    async def _one(self, client: AsyncOpenAI, pair: Pair, folder: Path) -> Answer:
        size = None
        try:
            uri, size = await asyncio.to_thread(_sent, folder / pair.image, self.frame)
            asked: list[Any] = [
                {"type": "image_url", "image_url": {"url": uri}},
                {"type": "text", "text": in_pixels(pair.question, pair.places, *size)},
            ]
            done = await client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": asked}],
                max_tokens=self.max_tokens,
                temperature=0,
            )
            return Answer(id=pair.id, reply=done.choices[0].message.content or "", size=size)
        except Exception as error:  # the client checks no reply, so what is wrong with one may show as any error
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            return Answer(id=pair.id, size=size, failed=reason)


@lru_cache(maxsize=_PICTURES_KEPT)
def _sent(path: Path, frame: Frame) -> tuple[str, tuple[int, int]]:
    """A picture in its framed size, as a data URI, and what boxes on it are relative to."""
    with Image.open(path) as picture:
        shown = frame.show(picture)
    return data_uri(shown), frame.box_size(*shown.size)
