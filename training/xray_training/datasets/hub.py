"""Fetching datasets from the Hugging Face Hub."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from xray_training.datasets.download import DownloadError

_ADDRESS = re.compile(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)/?")
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def dataset_called(name: str) -> str | None:
    """The Hub's name ``OWNER/DATASET`` in a name or in the address of a dataset's page; None where it is none."""
    if match := _ADDRESS.fullmatch(name):
        return match[1]
    return name if _NAME.fullmatch(name) else None


def fetch_dataset(name: str, out: Path, *, endpoint: str | None = None) -> Path:
    """Fetch every file of a dataset; those that are there are not fetched again.

    Args:
        name: ``OWNER/DATASET``.
        out: the folder to write.
        endpoint: the Hub to ask; the one of ``HF_ENDPOINT``, or the public one, when not given.

    Raises:
        DownloadError: the dataset is gated, not there, the Hub cannot be reached or refuses, or the disk is full.
    """
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    home = f"https://huggingface.co/datasets/{name}"
    try:
        snapshot_download(name, repo_type="dataset", local_dir=out, endpoint=endpoint)
    except GatedRepoError as error:
        steps = f"sign in at {home}, accept its terms, run `hf auth login`, and run this again"
        raise DownloadError(f"{name} is gated: {steps}") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(_refusal(name, home, 401)) from error
    except HFValidationError as error:
        raise DownloadError(f"{name!r} is no name of a dataset: write OWNER/DATASET") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError) as error:
        raise DownloadError(_refusal(name, home, _status(error))) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadError(f"the disk of {out} is full: make room and run this again") from error
        raise DownloadError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def _status(error: BaseException | None) -> int | None:
    """The HTTP status that an error comes from; None where the Hub did not answer at all."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__
    return None


def _refusal(name: str, home: str, status: int | None) -> str:
    if status is None:
        return f"the Hub cannot be reached, and {name} is not here yet: is this machine online?"
    if status == 401:
        return f"{name} is not there, or private: look at {home}; `hf auth login` signs you in"
    if status == 429:
        return "the Hub limits how often it is asked (HTTP 429): run this again later; `hf auth login` raises the limit"
    return f"the Hub does not give {name} (HTTP {status}): run this again later"
