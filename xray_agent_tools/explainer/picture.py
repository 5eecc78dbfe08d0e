"""Pictures as a vision-language model gets them: in a size that its processor leaves alone, so that boxes stay true."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xray_agent_tools.errors import Misconfigured
from xray_agent_tools.explainer.grid import fewest_and_most, grid_of
from xray_agent_tools.render import crop, overlay
from xray_agent_tools.report import Box, Detection, ThreatReport
from xray_agent_tools.scan import Scan

FRAME_FILE = "frame.json"
"""The file beside a trained model that tells its frame."""

_THOUSAND = 1000
_MOST_ELONGATED = 200
"""Qwen's processors refuse a picture whose one side is more than 200 times the other."""


BoxUnits = Literal["pixels", "thousandths"]
"""What boxes count in: pixels of the picture as it is shown, or thousandths of its sides."""


class Frame(BaseModel):
    """The sizes that a model's pictures may have, and what its boxes count in. The default is that of Qwen2.5-VL here.

    Training and asking go by the same frame, so that boxes mean the same in both.

    Attributes:
        cell: side in pixels of what becomes one visual token.
        min_pixels: smaller pictures are enlarged to at least this area.
        max_pixels: larger ones are reduced to at most this area.
        boxes: whether boxes are pixels of the picture sent (Qwen2.5-VL), or thousandths of its sides (Qwen3-VL).

    Raises:
        pydantic.ValidationError: no picture could have such a size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: int = Field(28, ge=1)
    min_pixels: int = Field(256 * 28**2, ge=1)
    max_pixels: int = Field(1024 * 28**2, ge=1)
    boxes: BoxUnits = "pixels"

    @model_validator(mode="after")
    def _some_picture_fits(self) -> Frame:
        fewest, most = fewest_and_most(self.cell, self.min_pixels, self.max_pixels)
        if most < fewest:
            raise ValueError(
                f"no picture of whole {self.cell}-pixel cells has between {self.min_pixels} and {self.max_pixels} "
                "pixels: raise max_pixels"
            )
        return self

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """The size in which a picture is sent: sides that are multiples of the cell, an area within the bounds.

        Qwen's processors resize what does not fit, and the boxes a model reads and writes are those of the resized
        picture. This is their formula (``smart_resize``), so a picture of this size goes through unchanged. A very long
        one, for which the formula breaks its own bounds, is cut short to keep them; one whose sides would still be as
        200 to 1, which the processors refuse, may end below ``min_pixels``.

        Args:
            width: of the picture in pixels, at least 1.
            height: of the picture in pixels, at least 1.
        """
        columns, rows = grid_of(width, height, cell=self.cell, min_pixels=self.min_pixels, max_pixels=self.max_pixels)
        columns, rows = min(columns, _MOST_ELONGATED * rows), min(rows, _MOST_ELONGATED * columns)
        return columns * self.cell, rows * self.cell

    def box_size(self, width: int, height: int) -> tuple[int, int]:
        """What the sides of a framed picture of that size count as in the words about it."""
        return (width, height) if self.boxes == "pixels" else (_THOUSAND, _THOUSAND)

    def show(self, picture: Image.Image) -> Image.Image:
        """The picture as RGB in its framed size."""
        size = self.size_of(*picture.size)
        coloured = picture.convert("RGB")
        return coloured if coloured.size == size else coloured.resize(size, Image.Resampling.BICUBIC)

    def box_sent(self, box: Box, scan: Scan, view: int) -> list[int]:
        """A box of a view as ``[x_min, y_min, x_max, y_max]``, in whole units of the picture that is sent of the view."""
        height, width = scan.views[view].pixels.shape[:2]
        across, down = self.box_size(*self.size_of(width, height))
        corners = (box.x_min * across / width, box.y_min * down / height)
        others = (box.x_max * across / width, box.y_max * down / height)
        return [round(corner) for corner in (*corners, *others)]

    def view_sent(self, scan: Scan, report: ThreatReport, view: int) -> str:
        """A view with the report's boxes and their numbers drawn on it, as a data URI."""
        return data_uri(self.show(overlay(scan, report, view=view)))

    def crop_sent(self, scan: Scan, detection: Detection) -> str:
        """One detection with its surroundings, enlarged, nothing drawn on it, as a data URI."""
        return data_uri(self.show(crop(scan, detection)))


QWEN2_5_VL = Frame()
"""The frame of Qwen2.5-VL as it is trained and served here: 256 to 1,024 visual tokens of 28 by 28 pixels."""


def read_frame(path: Path) -> Frame:
    """The frame of a trained model.

    Args:
        path: its ``frame.json``, or the folder that holds it.

    Raises:
        Misconfigured: it is not there, or is none.
    """
    file = path / FRAME_FILE if path.is_dir() else path
    try:
        return Frame.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}", hint="name the model's frame.json") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} is no frame of a model", hint="name the frame.json that training wrote") from error


def data_uri(picture: Image.Image) -> str:
    """A picture as PNG in a data URI."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
