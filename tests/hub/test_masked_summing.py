"""What the coordinator of a masked sum keeps between two exchanges."""

from pathlib import Path

import numpy as np

from wardround.crypto.quorum import Quorum
from wardround.summation.masked.attempt import Attempt, CommittedShares, Signing
from wardround.summation.masked.layout import COMMITMENTS, SEALED_SHARES, SHARE_COMMITMENTS, contribution_layout
from wardround.summation.masked.store import sum_from_tensors, sum_to_tensors
from wardround.values.ids import SiteId
from wardround.values.tensor_file import read_tensors, write_tensors


def test_the_shares_of_a_hundred_sites_can_be_kept(tmp_path: Path) -> None:
    """It is 70 MB: in a header, which holds 100 MB of text, it would end the run at its first masked sum."""
    sites = tuple(SiteId(f"site-{number:03d}") for number in range(100))
    words = {"model/words": ("uint16", 8)}
    attempt = Attempt("5d" * 32, Quorum(sites, 51, 1), dict.fromkeys(sites, "aa" * 32), "train/1/", 1, 1, "ab" * 32, sites, words)
    size = {name: length for name, (_, length) in contribution_layout(words, 100).items()}
    parts = (
        np.random.Generator(np.random.Philox(1)).bytes(size[name]) for name in (SEALED_SHARES, COMMITMENTS, SHARE_COMMITMENTS)
    )
    shares = CommittedShares(*parts)
    state = Signing(
        attempt, {"model/words": np.arange(8, dtype=np.uint16)}, dict.fromkeys(sites[1:], shares), {sites[0]: "no-answer"}
    )
    write_tensors(tmp_path / "sum.safetensors", *sum_to_tensors(state))
    restored = sum_from_tensors(*read_tensors(tmp_path / "sum.safetensors"))
    assert (restored.attempt, restored.shares, restored.lost) == (state.attempt, state.shares, state.lost)
    assert np.array_equal(restored.total["model/words"], state.total["model/words"])
