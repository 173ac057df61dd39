"""How long a hospital's 100,000 images take to be checked, and how much memory.

    python benchmarks/reading/images.py [--count N] [--size S] [--folder DIR]

Drawn chest-like images (512 x 512, grey, PNG, one patient each) are written into class folders, unless the folder holds them
already, and checked as `wardround data check` does: read with as many threads as there are cores, prepared for the study's size,
and looked at. Fewer than 100,000 are scaled: seconds in proportion, memory by what each image adds, for
which as many and five times as many small images are checked.
The last line is JSON: images_100k_s (seconds of the check, without the writing), cpu_s of all threads, peak_mb, and what they
belong to. scaled is true where they were worked out from fewer images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line

FULL, SIDE, SEED = 100_000, 512, 1


def write_images(folder: Path, count: int, side: int = SIDE) -> None:
    """`count` images in NORMAL and PNEUMONIA, each with its own noise, so that PNG packs them as it packs a radiograph."""
    draw = np.random.default_rng(SEED)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    chest = 210 * np.exp(-(x**2 + y**2)) + 15
    for number in range(count):
        path = folder / ("NORMAL", "PNEUMONIA")[number % 2] / f"p{number:06d}" / "a.png"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (chest + draw.normal(0, 8, chest.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)


def check(folder: Path, size: int) -> dict[str, float]:
    """One check in this process. peak_mb: of the process, with all that it had loaded before."""
    import resource

    from wardround.sources import open_source
    from wardround.study.contract import DataContract, ImageContract, LabelContract

    label = LabelContract(positive=("PNEUMONIA",), negative=("NORMAL",))
    contract = DataContract(kind="image", image=ImageContract(size=(size, size)), label=label)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    report = open_source(folder, contract).check()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    if not report.ready():
        raise SystemExit("the images are not ready: remove the folder and write it anew")
    records = int(next(count.value for count in report.counts if count.name == "records"))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"records": records, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb}


def fresh_check(folder: Path, size: int) -> dict[str, float]:
    """The check in a process of its own: memory is then that of the check."""
    command = [sys.executable, __file__, "--folder", str(folder), "--size", str(size), "--check-only"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


def mb_of_each(count: int, size: int) -> float:
    """What one more image adds to the memory of a check. Images of the study's own size show it as well as large ones."""
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name), count, size)
        few = fresh_check(Path(name), size)
        write_images(Path(name), 5 * count, size)
        many = fresh_check(Path(name), size)
    return max(many["peak_mb"] - few["peak_mb"], 0) / (4 * count)


def measured(folder: Path, count: int, size: int) -> dict[str, object]:
    """Figures for 100,000 images: measured, or scaled from `count`."""
    write_images(folder, count)
    most = fresh_check(folder, size)
    each_mb = mb_of_each(count, size) if count != FULL else 0.0
    share = FULL / count
    return {
        "images_100k_s": round(most["wall_s"] * share, 1),
        "cpu_s": round(most["cpu_s"] * share, 1),
        "peak_mb": round(most["peak_mb"] + each_mb * (FULL - count)),
        "images": count,
        "side": SIDE,
        "size": size,
        "scaled": count != FULL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL, help="how many images to check (100,000)")
    parser.add_argument("--size", type=int, default=64, help="side of the study's images (64)")
    parser.add_argument("--folder", type=Path, help="where the images lie, or are written to and kept")
    parser.add_argument("--check-only", action="store_true", help=argparse.SUPPRESS)
    choices = parser.parse_args()
    if choices.check_only:
        print(json.dumps(check(choices.folder, choices.size)))
        return
    with tempfile.TemporaryDirectory() as name:
        figures = measured(choices.folder or Path(name), choices.count, choices.size)
    print(f"{figures['images']:,} images: {figures['images_100k_s']} s and {figures['peak_mb']} MB for {FULL:,}")
    print(last_line(figures, SEED))


if __name__ == "__main__":
    main()
