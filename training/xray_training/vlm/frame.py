"""The picture as the model sees it: resized by us to the model's grid, so that boxes mean the same everywhere.

Qwen2.5-VL counts boxes in pixels of the resized picture. If the processor resized it once more, the words in training
would speak of another picture than the one shown. So the size is chosen here, and the processor is told not to resize.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from xray_agent_tools.explainer.grid import fewest_and_most, grid_of

BoxUnits = Literal["pixels", "thousandths"]
"""How boxes are written: in pixels of the framed picture (Qwen2.5-VL), or in 0..1000 of each side (Qwen3-VL)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The sizes that a model's pictures may have.

    Attributes:
        cell: side in pixels of what becomes one token of the language model: patch size times merge size.
        min_pixels: least area.
        max_pixels: largest area.
        boxes: how boxes are written.

    Raises:
        ValueError: no picture could have such a size.
    """

    cell: int
    min_pixels: int
    max_pixels: int
    boxes: BoxUnits = "pixels"

    def __post_init__(self) -> None:
        fewest, most = fewest_and_most(self.cell, self.min_pixels, self.max_pixels)
        if most < fewest:
            raise ValueError(
                f"no picture of whole {self.cell}-pixel cells has between {self.min_pixels} and {self.max_pixels} "
                "pixels: raise max_pixels"
            )

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in pixels, in which a picture of that size is shown.

        Both are multiples of the cell, the area lies within the bounds, and the aspect is kept as nearly as whole
        cells allow. A size that fits already is kept. Where the formula of Qwen's own processor keeps its bounds,
        this is that formula, so that a server which gets the whole scan shows the same grid; it does not for very
        long pictures.
        """
        columns, rows = grid_of(width, height, cell=self.cell, min_pixels=self.min_pixels, max_pixels=self.max_pixels)
        return columns * self.cell, rows * self.cell

    def box_size(self, width: int, height: int) -> tuple[int, int]:
        """What the sides count as in the words of a framed picture of that size."""
        return (width, height) if self.boxes == "pixels" else (1000, 1000)

    def show(self, picture: Image.Image) -> Image.Image:
        """The picture as RGB in its framed size."""
        size = self.size_of(*picture.size)
        coloured = picture.convert("RGB")
        return coloured if coloured.size == size else coloured.resize(size, Image.Resampling.BICUBIC)
