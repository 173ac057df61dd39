"""Films that are not a hospital's chest films, of every kind that the out-of-distribution warning is to notice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 64
Films = NDArray[np.uint8]
_TEXT = "patient report chest date name finding lung heart opacity normal right left view hospital doctor signed clear effusion"


def resized(films: Films, side: int = SIDE) -> Films:
    """(n, side, side)."""
    return np.stack([np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.LANCZOS)) for film in films])


def rotated(films: Films, angles: NDArray[np.floating]) -> Films:
    """By degrees; black comes in at the corners, as on a scanner."""
    turned = (Image.fromarray(f).rotate(float(a), Image.Resampling.BILINEAR) for f, a in zip(films, angles, strict=True))
    return np.stack([np.asarray(film) for film in turned])


def cropped(films: Films, shares: NDArray[np.floating], rng: np.random.Generator) -> Films:
    """A square of a share of the side, anywhere in the film, brought back to its size."""
    parts = []
    for film, share in zip(films, shares, strict=True):
        size = len(film)
        side = max(8, int(size * share))
        row, column = rng.integers(0, size - side + 1, 2)
        part = Image.fromarray(film[row : row + side, column : column + side])
        parts.append(np.asarray(part.resize((size, size), Image.Resampling.BICUBIC)))
    return np.stack(parts)


def photographs_of_text(count: int, rng: np.random.Generator, side: int = SIDE) -> Films:
    """Lines of words on paper, in uneven light, slightly turned, with grain."""
    pages = []
    for _ in range(count):
        large, paper = 256, int(rng.uniform(150, 255))
        page = Image.new("L", (large, large), paper)
        draw, size, top = ImageDraw.Draw(page), int(rng.integers(10, 34)), float(rng.integers(0, 20))
        font, ink = ImageFont.load_default(size), int(rng.uniform(0, 80))
        while top < large:
            draw.text((int(rng.integers(0, 16)), int(top)), " ".join(rng.choice(_TEXT.split(), 9)), fill=ink, font=font)
            top += size * 1.3
        turned = page.rotate(float(rng.normal(0, 4)), Image.Resampling.BILINEAR, fillcolor=int(paper * 0.6))
        (left, right), (top_light, low_light) = rng.uniform(0.6, 1, 2), rng.uniform(-0.2, 0.2, 2)
        across, down = np.linspace(left, right, large), np.linspace(top_light, low_light, large)
        lit = np.asarray(turned, np.float64) * np.add.outer(down, across) + rng.normal(0, 4, (large, large))
        pages.append(np.clip(lit, 0, 255).astype(np.uint8))
    return resized(np.stack(pages), side)


def kinds(films: Films, ultrasound: Films, adults: dict[str, Films], rng: np.random.Generator) -> dict[str, Films]:
    """By the name of the kind. films: the hospital's own, from which some are made."""
    count = len(films)
    half = count // 2
    flat, bell = rng.integers(0, 256, (half, SIDE, SIDE)), np.clip(rng.normal(128, 40, (count - half, SIDE, SIDE)), 0, 255)
    side = rng.choice([-1, 1], count)
    return {
        "breast ultrasound": resized(ultrasound),
        "noise": np.concatenate([flat, bell]).astype(np.uint8),
        "photographs of text": photographs_of_text(min(count, 300), rng),
        "rotated by 90": rotated(films, rng.choice([90.0, 270.0], count)),
        "rotated by 180": rotated(films, np.full(count, 180.0)),
        "rotated by 30 to 60": rotated(films, rng.uniform(30, 60, count) * side),
        "rotated by 10 to 20": rotated(films, rng.uniform(10, 20, count) * side),
        "inverted": 255 - films,
        "cropped to 40 to 60 %": cropped(films, rng.uniform(0.4, 0.6, count), rng),
        "cropped to 70 to 80 %": cropped(films, rng.uniform(0.7, 0.8, count), rng),
        **{f"adults, {name}": resized(some) for name, some in adults.items()},
    }
