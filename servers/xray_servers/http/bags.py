"""The caller's own names for bags."""

from typing import Annotated

from pydantic import BaseModel, Field

BagId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A short text on one line that names a bag."""


class Bagged(BaseModel):
    """A request that may name the bag it is about."""

    bag: BagId | None = Field(
        None,
        description="Your own identifier of the bag. Each has one decision: the same request gives it again, and "
        "another request about the same bag is refused.",
    )
