"""What a dishonest coordinator reads by an order of its own: the page says so, and this is the attack."""

import numpy as np

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.effects.rows import unpack
from wardround.analysis.protocol import Ask

SHARPNESS = 1e5  # within what an order may hold: 2**20


def test_an_order_that_follows_from_no_total_reads_one_patient() -> None:
    """Coefficients that are 0 for everybody below an age and large above it leave the oldest patient of an arm alone in a sum."""
    asked, rows = analysis(links=["log"]), patients()
    frame = asked.frame
    read = asked.read(rows)[0]
    ages = np.sort(read.design[read.arms == 1, 1])
    between = (ages[-1] + ages[-2]) / 2  # an attacker has 64 guesses in one order, and may ask again
    crafted = np.zeros((len(frame.arms), frame.sets, len(frame.ridges), frame.size))
    crafted[1, frame.folds, 0, :2] = -SHARPNESS * between, SHARPNESS
    totals = [asked.contribution(part, Ask("log_models", {"coefficients": crafted})) for part in divided(rows, 4).values()]
    information = unpack(np.sum([total["information"] for total in totals], axis=0)[1, frame.folds, 0], frame.size)
    alone = information[0] / information[0, 0]
    oldest = read.design[np.flatnonzero((read.arms == 1) & (read.design[:, 1] == ages[-1]))[0]]
    assert np.allclose(alone, oldest, atol=1e-9)


def test_the_first_sum_has_no_order_to_craft() -> None:
    """With known probabilities and lines, averages need it and `scores` alone."""
    asked = analysis(probabilities=[1 / 3] * 3, individual=False)
    assert [exchange.label for exchange in asked.exchanges] == ["moments", "scores"]
    assert not asked.exchanges[0].order
