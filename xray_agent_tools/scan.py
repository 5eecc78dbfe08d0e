"""The only door for images: whatever comes in leaves as checked RGB pixels with an identity.

Nothing is fetched from the network. Size limits hold before anything is decoded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from xray_agent_tools.errors import (
    AccessDenied,
    InvalidScan,
    Misconfigured,
    ScanNotFound,
    ScanTooLarge,
    XrayToolsError,
)

ScanSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | Image.Image | Scan"
"""One view: a path, bytes, base64 text, a data URI, an array or a Pillow image."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Picture formats that are read, decided by content and never by the file's name."""

_LONGEST_PATH = 4096
_SHORTEST_BASE64 = 64
_BASE64_CHARACTERS = re.compile(r"[A-Za-z0-9+/_=\-\s]+")
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "I;16", "I;16B", "I;16L", "I"})
_GREY_CHROMA = 6
_SAMPLED_PX = 256
_header_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """What a scan may cost before it is read.

    Attributes:
        max_bytes: encoded size of one view, or the size of an array.
        max_pixels: width times height of one view.
        max_views: views of one bag.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 16_000_000
    max_views: int = 8


DEFAULT_LIMITS = ScanLimits()


@dataclass(frozen=True, slots=True, eq=False)
class ScanView:
    """One projection of a bag.

    Attributes:
        pixels: RGB, uint8, shape (height, width, 3), read-only.
        sha256: hash of the bytes received, or of an array's shape, type and values.
        greyscale: whether the pixels carry no pseudo-colour.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    sha256: str
    greyscale: bool

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A bag as scanned: one or more views.

    Attributes:
        views: at least one view.
        sha256: hash over all views; for one view, that view's hash.
    """

    views: tuple[ScanView, ...]
    sha256: str

    @property
    def scan_id(self) -> str:
        """A short identifier that follows from the content."""
        return f"scan-{self.sha256[:16]}"


def scan_id_of(contents: Sequence[bytes]) -> str:
    """The identifier of the scan that :func:`load_scan` makes of these encoded views, without decoding them."""
    return f"scan-{_combined([hashlib.sha256(content).hexdigest() for content in contents])[:16]}"


def _combined(hashes: Sequence[str]) -> str:
    """The hash over all views; for one view, that view's hash."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def load_scan(
    source: ScanSource | Sequence[ScanSource],
    *,
    roots: Sequence[Path] | None = None,
    limits: ScanLimits = DEFAULT_LIMITS,
) -> Scan:
    """Read a scan.

    Args:
        source: a path, encoded bytes, base64 text, a data URI, a NumPy array (height, width[, 1, 3 or 4];
            uint8, uint16, or float in 0..1), a Pillow image, or a list of those, one for each view of one bag.
        roots: folders that paths must lie in, symbolic links resolved; None allows any path.
        limits: bounds that hold before anything is decoded.

    Raises:
        InvalidScan: it is no readable picture of a supported kind.
        ScanTooLarge: it exceeds a limit.
        AccessDenied: a path outside the roots, or a URL.
    """
    if isinstance(source, Scan):
        return source
    sources = list(source) if isinstance(source, list | tuple) else [source]
    if not sources:
        raise InvalidScan("the list of views is empty", hint="give at least one view")
    if len(sources) > limits.max_views:
        raise ScanTooLarge(f"{len(sources)} views", hint=f"one bag has at most {limits.max_views} views")
    views = tuple(_load_view(view, roots, limits) for view in sources)
    return Scan(views, _combined([view.sha256 for view in views]))


def read_content(
    source: str | os.PathLike[str], *, roots: Sequence[Path] | None = None, limits: ScanLimits = DEFAULT_LIMITS
) -> bytes:
    """The encoded picture that a path, base64 text or data URI stands for, for those who keep scans; not decoded.

    Args and raises as :func:`load_scan`.
    """
    if isinstance(source, str):
        return _bytes_of_text(source, roots, limits)
    return _read_file(os.fsdecode(source), roots, limits)


def _load_view(source: object, roots: Sequence[Path] | None, limits: ScanLimits) -> ScanView:
    if isinstance(source, str | os.PathLike):
        return _decode(read_content(source, roots=roots, limits=limits), limits)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(_content_of(source, limits), limits)
    if isinstance(source, np.ma.MaskedArray):
        raise InvalidScan("a masked array hides pixels", hint="fill it, and give the plain array")
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _from_picture(source, limits)
    raise InvalidScan(
        f"a scan cannot be a {type(source).__name__}",
        hint="give a path, bytes, base64 text, a data URI, a NumPy array or a Pillow image",
    )


def _content_of(source: bytes | bytearray | memoryview, limits: ScanLimits) -> bytes:
    try:
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            raise ScanTooLarge(f"{size} bytes", hint="export the scan as PNG or JPEG")
        return bytes(source)
    except ValueError as error:
        raise InvalidScan("the memory view has been released", hint="give the bytes") from error


def _bytes_of_text(text: str, roots: Sequence[Path] | None, limits: ScanLimits) -> bytes:
    head = text[:64].lstrip().casefold()
    if head.startswith("data:"):
        return _from_data_uri(text, limits)
    if re.match(r"[a-z][a-z0-9+.\-]+://", head):
        raise AccessDenied("URLs are not fetched", hint="download the scan and give its path or bytes")
    names_path = len(text) <= _LONGEST_PATH and text.isprintable()
    # Whether a file outside the roots exists must not show, so such a path is refused before anybody looks.
    outside = names_path and roots is not None and not _lies_in(text, roots)
    if names_path and not outside and os.path.lexists(text if roots is None else os.path.abspath(text)):
        return _read_file(text, roots, limits)
    if len(text) >= _SHORTEST_BASE64 and _BASE64_CHARACTERS.fullmatch(text[:_LONGEST_PATH]):
        return _from_base64(text, limits)
    if outside:
        raise _outside(roots or ())
    shown = text[:80] + ("..." if len(text) > 80 else "")
    raise ScanNotFound(
        f"there is no file {shown!r}", hint="give the path of an existing file, base64 text or a data URI"
    )


def _lies_in(name: str, roots: Sequence[Path]) -> bool:
    """Whether a path lies in one of the roots, by its name and with its symbolic links resolved.

    The name is looked at first, its ``..`` collapsed, so that no folder outside the roots is ever walked through.
    """
    try:
        path = Path(os.path.abspath(name))
        named = any(path.is_relative_to(place) for root in roots for place in (root.absolute(), root.resolve()))
        return named and any(path.resolve().is_relative_to(root.resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError):
        return False


def _outside(roots: Sequence[Path]) -> AccessDenied:
    if not roots:
        return AccessDenied("no paths are read here", hint="give the scan itself, or what it was kept under")
    return AccessDenied(
        "the path lies outside the folders that may be read",
        hint="put the scan into one of: " + ", ".join(str(root) for root in roots),
    )


def _from_data_uri(text: str, limits: ScanLimits) -> bytes:
    head, comma, payload = text.strip().partition(",")
    if not comma or not head.casefold().endswith(";base64"):
        raise InvalidScan("the data URI is not base64", hint="use data:image/png;base64,...")
    return _from_base64(payload, limits)


def _from_base64(text: str, limits: ScanLimits) -> bytes:
    if len(text) > limits.max_bytes * 4 // 3 + 1024:
        raise ScanTooLarge("the base64 text is too long", hint=f"at most {limits.max_bytes} bytes when decoded")
    compact = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidScan("the text is not valid base64", hint="encode the picture's bytes again") from error


def _read_file(name: str, roots: Sequence[Path] | None, limits: ScanLimits) -> bytes:
    if roots is not None:
        if not _lies_in(name, roots):
            raise _outside(roots)
        name = os.path.abspath(name)
    try:
        path = Path(name).resolve(strict=True)
        if roots is not None and not any(path.is_relative_to(root.resolve()) for root in roots):
            raise _outside(roots)
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidScan(
                f"{name[:200]!r} is not a file", hint="give the path of a picture, not a folder or device"
            )
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise InvalidScan(f"{name[:200]!r} is not a file", hint="give the path of a picture")
            # A buffer of the limit's size would cost more time than the rest of reading a scan.
            content = file.read(min(state.st_size, limits.max_bytes) + 1)
            if len(content) > limits.max_bytes:
                raise ScanTooLarge(f"more than {limits.max_bytes} bytes", hint="export the scan as PNG or JPEG")
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidScan(f"{name[:200]!r} cannot be read", hint="check the path and its permissions") from error
    return content


def _decode(content: bytes, limits: ScanLimits) -> ScanView:
    if not content:
        raise InvalidScan("the file is empty", hint="write the scan again")
    if len(content) > limits.max_bytes:
        raise ScanTooLarge(f"more than {limits.max_bytes} bytes", hint="export the scan as PNG or JPEG")
    picture, alone = _open(content)
    _check_size(picture.width, picture.height, limits)
    if not alone:
        raise InvalidScan("the file holds several pictures", hint="give the views of a bag as a list")
    return _view(_rgb_of(picture), hashlib.sha256(content).hexdigest())


def _open(content: bytes) -> tuple[Image.Image, bool]:
    """Read a picture's header only; also tell whether it is the only one in the file."""
    try:
        # Pillow warns of large headers; the lock keeps the warning filter from leaking into other threads.
        with _header_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(BytesIO(content), formats=FORMATS)
            return picture, _is_alone(picture)
    except Image.DecompressionBombError as error:
        raise ScanTooLarge("the picture is far too large", hint="export the scan at its native size") from error
    except UnidentifiedImageError as error:
        raise InvalidScan(
            "the content is no picture of a supported format", hint=f"supported are {', '.join(FORMATS)}"
        ) from error
    except Exception as error:
        raise InvalidScan("the picture's header is damaged", hint="export the scan again as PNG") from error


def _is_alone(picture: Image.Image) -> bool:
    try:
        picture.seek(1)
    except EOFError:
        return True
    return False


def _check_size(width: int, height: int, limits: ScanLimits) -> None:
    if width < 1 or height < 1:
        raise InvalidScan("the picture has no pixels", hint="give the whole scan")
    if width * height > limits.max_pixels:
        raise ScanTooLarge(
            f"{width}x{height} pixels", hint=f"scale the scan to at most {limits.max_pixels / 1e6:.0f} megapixels"
        )


def _rgb_of(picture: Image.Image) -> NDArray[np.uint8]:
    """Decode, orient and flatten a picture; transparency becomes the white of an empty belt."""
    if picture.mode not in _MODES:
        raise InvalidScan(
            f"the picture's colour mode is {picture.mode}", hint="export the scan as greyscale or RGB, 8 or 16 bits"
        )
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Misconfigured(
            "Pillow is set to accept truncated pictures", hint="leave ImageFile.LOAD_TRUNCATED_IMAGES at False"
        )
    try:
        turned = ExifTags.Base.Orientation in picture.getexif()
        upright = ImageOps.exif_transpose(picture) if turned else picture
        if upright.mode.startswith("I"):
            return _grey_to_rgb(_eight_bits(np.asarray(upright)))
        if upright.mode in {"LA", "PA", "RGBA"} or "transparency" in upright.info:
            layered = upright.convert("RGBA")
            white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
            upright = Image.alpha_composite(white, layered)
        return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))
    except (XrayToolsError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them stumble over
        raise InvalidScan("the picture is damaged or cut off", hint="export or copy the scan again") from error


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 9..16-bit greyscale to 8 bits by the smallest usual bit depth that holds its maximum."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise InvalidScan("the grey values exceed 16 bits", hint="export the scan with 8 or 16 bits")
    bits = next(depth for depth in (8, 10, 12, 14, 16) if highest < 1 << depth)
    return (values.astype(np.uint32) >> (bits - 8)).astype(np.uint8)


def _grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _from_picture(picture: Image.Image, limits: ScanLimits) -> ScanView:
    _check_size(picture.width, picture.height, limits)
    pixels = _rgb_of(picture)
    return _view(pixels, _hash_of_array(pixels))


def _from_array(source: NDArray[Any], limits: ScanLimits) -> ScanView:
    array = np.asarray(source)
    if array.nbytes > limits.max_bytes:
        raise ScanTooLarge(f"an array of {array.nbytes} bytes", hint=f"give at most {limits.max_bytes}, as uint8")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InvalidScan(
            f"an array of shape {array.shape} is no picture", hint="give (height, width) or (height, width, 1, 3 or 4)"
        )
    if array.size == 0:
        raise InvalidScan("the array is empty", hint="give the whole scan")
    _check_size(int(array.shape[1]), int(array.shape[0]), limits)
    values = _eight_bit_array(array)
    if values.ndim == 2 or values.shape[2] == 1:
        pixels = _grey_to_rgb(values.reshape(values.shape[:2]))
    elif values.shape[2] == 4:
        pixels = _rgb_of(Image.fromarray(np.ascontiguousarray(values), "RGBA"))
    else:
        pixels = np.array(values)
    return _view(pixels, _hash_of_array(array))


def _eight_bit_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return _eight_bits(array)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise InvalidScan("the array holds NaN or infinite values", hint="replace them before you call")
        if array.min() < 0 or array.max() > 1:
            raise InvalidScan("the array's values exceed 0..1", hint="scale floating-point pixels to 0..1")
        return np.asarray(np.round(array * 255), dtype=np.uint8)
    raise InvalidScan(f"the array's type is {array.dtype}", hint="give uint8, uint16 or floating-point pixels")


def _hash_of_array(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _view(pixels: NDArray[np.uint8], sha256: str) -> ScanView:
    frozen = np.ascontiguousarray(pixels)
    frozen.setflags(write=False)
    sample = frozen[:: -(-frozen.shape[0] // _SAMPLED_PX), :: -(-frozen.shape[1] // _SAMPLED_PX)]
    red, green, blue = sample[..., 0], sample[..., 1], sample[..., 2]
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return ScanView(frozen, sha256, bool(np.mean(chroma > _GREY_CHROMA) < 0.01))
