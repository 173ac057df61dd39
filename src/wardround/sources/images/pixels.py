"""One image of any accepted size and depth, brought to the size, channels and depth of the contract."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wardround.study.contract import ImageContract

GREY_TOLERANCE = 2
"""Levels of 255 by which channels of a grey image may differ: JPEG rounds colours, and no more than this."""

FAULTS = {
    "shape": ("Images are neither grey nor of three channels", "write them as grey (height, width) or RGB (height, width, 3)"),
    "empty-image": ("Images have no pixels", "write them again"),
    "number-kind": (
        "Images are stored as numbers other than unsigned ones of 8 or 16 bits",
        "write them as uint8 or uint16, all with the same black and white",
    ),
    "bit-depth": ("Images have a bit depth the contract does not accept", "convert them, or add the depth to accepted_bits"),
    "unequal-channels": (
        "Images have three unequal channels where the contract promises one",
        "convert them to grey at the hospital, or set channels = 3 under [data.image]",
    ),
}


def fault(image: NDArray[Any], contract: ImageContract) -> str | None:
    """What is wrong with an image (height, width[, 1 | 3]), a key of FAULTS; None where it can be prepared."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        return "shape"
    if 0 in image.shape:
        return "empty-image"
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        return "number-kind"
    if image.dtype.itemsize * 8 not in contract.accepted_bits:
        return "bit-depth"
    if contract.channels == 1 and image.ndim == 3 and image.shape[2] == 3 and not _is_grey(image):
        return "unequal-channels"
    return None


def _is_grey(image: NDArray[Any]) -> bool:
    if all(np.array_equal(image[..., 1], image[..., channel]) for channel in (0, 2)):
        return True
    allowed = GREY_TOLERANCE * (257 if image.dtype.itemsize == 2 else 1)
    wide = image.astype(np.int32)
    return all(int(np.abs(wide[..., 1] - wide[..., channel]).max()) <= allowed for channel in (0, 2))


def prepared(image: NDArray[Any], contract: ImageContract) -> NDArray[Any]:
    """The image as (height, width) or (height, width, 3), uint8 or uint16 as the contract keeps it. `fault` must be None.

    Downsampling is antialiased (Lanczos, the filter widened by the scale). Equal channels collapse to the green one; grey images
    are repeated where three channels are promised.
    """
    image = image.astype(image.dtype.newbyteorder("="), copy=False)  # a file may hold the other order of bytes
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if contract.channels == 1 and image.ndim == 3:
        image = image[..., 1]
    kept: Any = np.uint8 if contract.kept_bits == 8 else np.uint16
    if image.dtype == np.uint8 and kept is np.uint8:
        return _with_channels(_sized(image, contract), contract)
    white = contract.white_16 if image.dtype == np.uint16 else 255
    top = float(np.iinfo(kept).max)
    scaled = np.minimum(image.astype(np.float32) / white, 1.0) * top
    sized = _sized(scaled.astype(np.float32), contract)
    return _with_channels(np.clip(np.rint(sized), 0, top).astype(kept), contract)


def prepared_padding(padding: NDArray[np.bool_], contract: ImageContract) -> NDArray[np.bool_]:
    """Of the prepared image, the pixels (height, width) that padding (of the image as it was) has any part in."""
    size = contract.size
    rows, columns = (slice(0, size[0]), slice(0, size[1]))
    if contract.fit == "pad":
        rows, columns = inside_padding((padding.shape[0], padding.shape[1]), size)
    frame = np.ones(size, bool)
    picture = Image.fromarray(padding.astype(np.uint8) * 255)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    frame[rows, columns] = np.asarray(picture.resize(shape, Image.Resampling.BOX)) > 0
    return frame


def windowed(values: NDArray[Any], window: tuple[float, float], white: int) -> NDArray[np.uint16]:
    """Finite values as uint16: the window from 0 to `white`, which is the contract's white_16; values outside are clipped."""
    low, high = window
    with np.errstate(over="ignore"):
        share = np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    return np.rint(share * white).astype(np.uint16)


def empty_stack(count: int, contract: ImageContract) -> NDArray[Any]:
    """Room for `count` prepared images: each is put down as it is read, so that no file stays in memory at its full size."""
    shape = (count, *contract.size, 3) if contract.channels == 3 else (count, *contract.size)
    return np.zeros(shape, np.uint8 if contract.kept_bits == 8 else np.uint16)


def _with_channels(image: NDArray[Any], contract: ImageContract) -> NDArray[Any]:
    return np.repeat(image[..., None], 3, axis=2) if contract.channels == 3 and image.ndim == 2 else image


def _sized(image: NDArray[Any], contract: ImageContract) -> NDArray[Any]:
    if image.shape[:2] == contract.size:
        return image
    if image.ndim == 3 and image.dtype != np.uint8:
        return np.stack([_sized(image[..., channel], contract) for channel in range(3)], axis=2)
    if contract.fit == "stretch":
        return _resized(image, contract.size)
    return _padded(image, contract.size)


def _resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _padded(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    frame = np.zeros((*size, *image.shape[2:]), image.dtype)
    rows, columns = inside_padding((image.shape[0], image.shape[1]), size)
    frame[rows, columns] = _resized(image, (rows.stop - rows.start, columns.stop - columns.start))
    return frame


def inside_padding(original: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a frame that an image of the original size fills where `fit` is pad; the rest is black.

    >>> inside_padding((50, 100), (64, 64))
    (slice(16, 48, None), slice(0, 64, None))
    """
    ratio = min(size[0] / original[0], size[1] / original[1])
    height, width = (max(1, round(side * ratio)) for side in original)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)
