"""What the pixels of a hospital tell a data manager: sizes, constant, saturated, dark and inverted images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.images.pixels import inside_padding
from wardround.sources.read_result import Level, ReadResult
from wardround.sources.readiness.near_copies import near_copies
from wardround.study.contract import ImageContract

Told = tuple[Level, str, str, str, NDArray[np.int64] | None]
"""Level, code, text, mend, and the records it is of, where it is of some."""

SATURATED = 0.5
"""Share of pixels at white above which an image counts as saturated."""

FLAT = 2.0 / 255
"""Standard deviation, of full scale, below which an image shows nothing."""

_TWO_TONE, _FEWEST_OF_TONE = 0.8, 0.02
"""Share of pixels at black or white from which on an image is called one of two tones, and the least share of either."""

DARK = 1.0 / 14
"""Brightest pixel, of full scale, below which 16-bit files were probably scaled by the wrong white. Twelve bits reach a
sixteenth; rounding to 8 bits and the overshoot of resizing add a little."""


def image_findings(read_result: ReadResult, contract: ImageContract) -> Iterator[Told]:
    """Reads the prepared images in blocks, so memory stays small."""
    yield from _size_findings(read_result.originals, contract)
    facts, grid = np.empty((len(read_result), 4)), np.empty((len(read_result), 64))
    for rows, images in _blocks(read_result, contract):
        facts[rows], grid[rows] = _facts(images), _coarse(images)
    for row, image, outside in _padded_images(read_result):
        facts[row], grid[row] = _facts(image[None, ~outside])[0], _coarse_of_part(image, outside)
    flat, saturated, brightest = facts[:, 0] < FLAT, facts[:, 1] > SATURATED, facts[:, 2]
    if flat.any():
        yield "warning", "constant-image", "Images that show nothing, all pixels nearly equal", "take them out", _rows(flat)
    if (white := saturated & ~flat).any():
        text = "Images more than half of which is pure white"
        yield "warning", "saturated-image", text, "check the window or the export", _rows(white)
    if (two_tone := (facts[:, 3] > _TWO_TONE) & ~flat & ~saturated).any():
        text = "Images of black and white alone, as masks and drawings are"
        yield "warning", "two-tone-image", text, "take them out where they are no pictures of patients", _rows(two_tone)
    if np.median(brightest) < DARK:
        text = "Most images use about a sixteenth of the grey scale, or less"
        hint = "PNG of 12 bits need white_16 = 4095 under [data.image]; DICOM needs its window, or the right BitsStored"
        yield "warning", "dark-images", text, hint, None
    if (inverted := _inverted(grid) & ~flat).any():
        hint = "check the photometric interpretation (MONOCHROME1 shows low values white)"
        text = "Images that look like the negative of the hospital's others"
        yield "warning", "inverted-images", text, hint, _rows(inverted)
    yield from _near_copies(read_result, near_copies(read_result, grid, flat))


def _near_copies(read_result: ReadResult, pairs: NDArray[np.int64]) -> Iterator[Told]:
    """Pairs of records that are one picture saved twice: each second one is told, and where the two contradict each other."""
    if not len(pairs):
        return
    first, second = pairs[:, 0], pairs[:, 1]
    text = "Images that are nearly the same as another one, as a picture saved twice is"
    yield "warning", "near-duplicates", text, "keep one of each", np.unique(second)
    named = read_result.identified[first] & read_result.identified[second]
    for code, unlike, text, hint in (
        ("near-duplicates-other-label", read_result.labels[first] != read_result.labels[second],
         "Images that are nearly the same have different labels", "find the right label"),
        ("near-duplicates-other-patient", named & (read_result.patients[first] != read_result.patients[second]),
         "Images that are nearly the same belong to different patients", "find the right patient"),
    ):  # fmt: skip
        if unlike.any():
            yield "warning", code, text, hint, np.unique(pairs[unlike])


def _rows(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(chosen)


def _blocks(read_result: ReadResult, contract: ImageContract) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Rows and their images, at most 256 at once, without the black that was put around them: it is nothing the hospital sent."""
    boxes = _boxes(read_result, contract)
    for top, bottom, left, right in np.unique(boxes, axis=0).tolist():
        rows = np.flatnonzero((boxes == (top, bottom, left, right)).all(axis=1))
        for start in range(0, len(rows), 256):
            block = rows[start : start + 256]
            yield block, read_result.inputs[block][:, top:bottom, left:right]


def _padded_images(read_result: ReadResult) -> Iterator[tuple[int, NDArray[Any], NDArray[np.bool_]]]:
    """Row, image and padding of each image whose file declares some, and that has a pixel besides."""
    for row, name in enumerate(read_result.names.tolist() if read_result.padding else ()):
        bits = read_result.padding.get(name)
        if bits is not None:
            image = read_result.inputs[row]
            outside = np.unpackbits(bits, count=image.shape[0] * image.shape[1]).astype(bool).reshape(image.shape[:2])
            if not outside.all():
                yield row, image, outside


def _boxes(read_result: ReadResult, contract: ImageContract) -> NDArray[np.int64]:
    """(n, 4): first and last row and column of what an image fills, the last ones excluded."""
    if contract.fit == "stretch" or not len(read_result.originals):
        return np.tile(np.array([0, contract.size[0], 0, contract.size[1]]), (len(read_result), 1))
    sizes, which = np.unique(read_result.originals, axis=0, return_inverse=True)
    inside = [inside_padding((height, width), contract.size) for height, width in sizes.tolist()]
    ends = np.array([(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in inside])
    return ends[which.reshape(-1)]


def _size_findings(originals: NDArray[np.int64], contract: ImageContract) -> Iterator[Told]:
    sizes = np.unique(originals, axis=0)
    if len(sizes) > 1:
        low, high = originals.min(axis=0), originals.max(axis=0)
        text = f"Images come in {len(sizes)} sizes, heights {low[0]} to {high[0]}, widths {low[1]} to {high[1]} pixels"
        yield "note", "sizes", text, "", None
    elif len(sizes) and tuple(sizes[0]) != contract.size:
        yield "note", "sizes", f"All images are {sizes[0][0]} x {sizes[0][1]} and were resized to the study's size", "", None
    small = np.flatnonzero((originals[:, 0] < contract.size[0]) | (originals[:, 1] < contract.size[1]))
    if len(small):
        text = f"Images smaller than the study's {contract.size[0]} x {contract.size[1]}, which are enlarged"
        yield "warning", "small-images", text, "export them at full size if you can", small


def _facts(images: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 4): standard deviation, share of white pixels, brightest pixel, and share of pixels that are black or white where
    there are enough of both; all of full scale."""
    top = float(np.iinfo(images.dtype).max)
    flat = images.reshape(len(images), -1)
    black, white = (flat <= 0.02 * top).mean(axis=1), (flat >= 0.98 * top).mean(axis=1)
    two_tone = np.where(np.minimum(black, white) > _FEWEST_OF_TONE, black + white, 0.0)
    return np.stack([flat.std(axis=1) / top, (flat == top).mean(axis=1), flat.max(axis=1) / top, two_tone], axis=1)


def _coarse_of_part(image: NDArray[Any], outside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(64,): the mean of what is picture in each part; of a part that is padding alone, that of the whole picture."""
    grey = image.mean(axis=2) if image.ndim == 3 else image.astype(np.float64)
    share = _coarse((~outside)[None].astype(np.float64))[0]
    light = _coarse(np.where(outside, 0.0, grey)[None])[0]
    return np.asarray(np.where(share > 0, light / np.maximum(share, 1e-12), grey[~outside].mean()))


def _inverted(grid: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Images that are anti-correlated (r < -0.3) with the mean image of the hospital, on the coarse grid.

    The threshold is far from 0 so that a projection of its own or a rotated film is not called inverted.
    """
    centred = grid - grid.mean(axis=1, keepdims=True)
    mean = np.median(centred, axis=0)
    norms = np.linalg.norm(centred, axis=1) * np.linalg.norm(mean)
    return np.asarray((centred @ mean) < -0.3 * np.maximum(norms, 1e-9))


def _coarse(images: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 64): the mean of each of 8 x 8 parts. A side of fewer than 8 pixels is enlarged first."""
    for axis in (1, 2):
        if images.shape[axis] < 8:
            images = np.repeat(images, 8, axis=axis)
    grey = images.mean(axis=3) if images.ndim == 4 else images.astype(np.float64)
    rows = [band.mean(axis=1) for band in np.array_split(grey, 8, axis=1)]
    cells = [[part.mean(axis=1) for part in np.array_split(row, 8, axis=1)] for row in rows]
    return np.stack([cell for row in cells for cell in row], axis=1)
