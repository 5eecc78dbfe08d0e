"""What stops work on a vision-language model, each with what to do next."""

from __future__ import annotations

from collections.abc import Mapping

Figures = Mapping[str, float | int | str]


class VlmError(RuntimeError):
    """Something that the caller can mend; the message ends with how."""


class NoPairs(VlmError):
    """A part of the training has no question-answer pairs."""


class PictureMissing(VlmError):
    """The picture of a pair is not there, or cannot be read."""


class BaseModelUnavailable(VlmError):
    """The model to start from is not there, or is of another kind."""


class GuideUnavailable(VlmError):
    """A detector that is to be imitated is not there, or is no detector."""


class CudaNeeded(VlmError):
    """The method needs a GPU, or a package that works on a GPU only."""


class NothingToAdapt(VlmError):
    """No layer of the model has one of the names that the adapter is to change."""


class RunConflict(VlmError):
    """The folder of the run does not fit what is to be done in it."""


class UnlikeTemplate(VlmError):
    """The model's chat template does not write a conversation in the way that training relies on."""


class MergeRefused(VlmError):
    """The merged model does not answer as the base with its adapter does."""


class GateFailed(VlmError):
    """A proof that the picture matters has failed.

    Attributes:
        check: name of the check.
        figures: what was measured.
    """

    def __init__(self, check: str, says: str, figures: Figures) -> None:
        measured = ", ".join(f"{name} {_short(value)}" for name, value in figures.items())
        super().__init__(f"the gate failed at {check}: {says} ({measured})")
        self.check = check
        self.figures = figures


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
