"""What the masked sum costs: against a plain float32 upload, and against Flower's SecAgg+.

    plain     three sites and the coordinator, CPU time of everything between an update and the sum: masking/against_plain.py
    flower    one site's work for 2, 8 and 31 neighbours, each contender in processes of its own: masking/against_flower.py
    precision NMSE of the mean of 16-bit words on updates that training made: masking/precision.py
    many      whole sums of 3 to 100 sites through the real machines: masking/many_sites.py
    exchanges of a masked round, counted by a real study: masking/exchanges.py
    round     a whole round of the reference job, masked against plain: masking/whole_round.py; needs the data set kermany_cxr

    python benchmarks/summation/masked_sum.py          # some minutes on two cores; installs Flower in a fresh environment
    python benchmarks/summation/masked_sum.py --folder versus          # keep the environment for the next time
    python benchmarks/summation/masked_sum.py --only plain,precision   # nothing to install

CPU time, since the machine may be busy, but for `speedup_vs_flower` and `round_vs_plain`; medians of interleaved repeats with
their spread. The last line is JSON. Ratios named `_vs_plain` are ours over plain, `bytes_vs_flower` and `memory_vs_flower` ours
over Flower's. `speedup_vs_flower` is Flower's wall time over ours on two threads, as a hospital would run it;
`speedup_vs_flower_cpu` Flower's CPU time over ours on one thread. Each is the worst of the three numbers of neighbours.

`cpu_vs_plain_lean` is the ratio where neither path has a serialiser or allocates anything.

Deviations: but for `round` the update is random numbers, since time and bytes do not depend on its values; with Flower key
agreement, shares and the parsing of messages are left out on both sides.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from masking import against_flower, against_plain, exchanges, many_sites, precision, whole_round

SEED = 7  # of the updates and of the small network; masks come from the operating system
Part = Callable[[argparse.Namespace, Path], dict[str, float]]


def plain(chosen: argparse.Namespace, _folder: Path) -> dict[str, float]:
    return against_plain.compare(chosen.dimension, chosen.repeats, precision.PUBLIC_BOUND, chosen.threads, SEED)


def flower(chosen: argparse.Namespace, folder: Path) -> dict[str, float]:
    return against_flower.compare(chosen.dimension, chosen.repeats, folder)


def nmse(_chosen: argparse.Namespace, _folder: Path) -> dict[str, float]:
    return {"nmse": precision.measure(SEED)}


def many(_chosen: argparse.Namespace, _folder: Path) -> dict[str, float]:
    return many_sites.measure()


def counted(_chosen: argparse.Namespace, _folder: Path) -> dict[str, float]:
    return exchanges.measure()


def whole(chosen: argparse.Namespace, _folder: Path) -> dict[str, float]:
    return whole_round.compare(chosen.round_repeats)


PARTS: dict[str, Part] = {
    "plain": plain,
    "precision": nmse,
    "exchanges": counted,
    "many": many,
    "flower": flower,
    "round": whole,
}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a stopped benchmark ends what it started
    parser = argparse.ArgumentParser(description="The masked sum against a plain upload and Flower's SecAgg+.")
    parser.add_argument("--dimension", type=int, default=25_000_000, help="values of one update")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--round-repeats", type=int, default=3, help="runs of three rounds each, masked and plain")
    parser.add_argument("--threads", type=int, default=1, help="of the masked sum in the comparison with a plain upload")
    parser.add_argument("--folder", type=Path, help="keep Flower's environment here; default: a temporary folder")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, comma-separated: {', '.join(PARTS)}")
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"--only: expected some of {', '.join(PARTS)}, separated by commas, found {', '.join(unknown)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {chosen.dimension:,} values")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="wardround-masked-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        for name in parts:
            figures |= PARTS[name](chosen, folder)
    short = {name: round(value, 4) if value > 1e-3 else float(f"{value:.3g}") for name, value in figures.items()}
    print(last_line(short, SEED))


if __name__ == "__main__":
    main()
