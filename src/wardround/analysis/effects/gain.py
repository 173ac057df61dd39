"""The gain curve: what is won when an arm is given to more and more patients, those with the largest predicted benefit first.

N. J. Radcliffe's Qini curve (2007), with doubly robust scores in place of counts.
"""

from itertools import pairwise

from wardround.analysis.effects.calibration import Group


def gain_curve(groups: tuple[Group, ...], better: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Share of patients who get the arm, those with the largest predicted benefit first, and the mean gain over all patients."""
    sign = 1.0 if better == "higher" else -1.0
    ranked = groups[::-1] if better == "higher" else groups
    total = sum(group.patients for group in ranked)
    shares, gains = [0.0], [0.0]
    for group in ranked:
        shares.append(shares[-1] + group.patients / total)
        gains.append(gains[-1] + sign * group.effect * group.patients / total)
    return tuple(shares), tuple(gains)


def qini(shares: tuple[float, ...], gains: tuple[float, ...]) -> float:
    """The area between the gain curve and the line of an arm that is drawn by lot."""
    ends = zip(pairwise(shares), pairwise(gains), strict=True)
    return sum((right - left) * (low + high) / 2 for (left, right), (low, high) in ends) - gains[-1] / 2
