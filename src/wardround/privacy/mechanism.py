"""From a contribution to words and back, by whichever mechanism the study's privacy mode asks for."""

from collections.abc import Callable

from wardround.privacy import fixed_point_mechanism
from wardround.privacy.fixed_point_mechanism import RoundingKey
from wardround.privacy.frame import Frame
from wardround.privacy.gaussian_mechanism import NoisedFrame, protect_noised, reveal_noised
from wardround.values.contribution import Contribution
from wardround.values.tree import Bundle, Tree

AnyFrame = Frame | NoisedFrame


def protect(contribution: Contribution, reference: Bundle, frame: AnyFrame, key_of: RoundingKey) -> Tree:
    """Bound, encode, noise. key_of: for rounding where no privacy is claimed; a noised frame draws from the system instead."""
    if isinstance(frame, NoisedFrame):
        return protect_noised(contribution, reference, frame)
    return fixed_point_mechanism.protect(contribution, reference, frame, key_of)


def reveal(
    total: Tree, reference: Bundle, frame: AnyFrame, weight: int = 0, let_go: Callable[[], None] | None = None
) -> Contribution:
    """What the total stands for. weight: of those who were counted, where the frame is noised and so does not sum it. let_go: is
    called when an array of the reference has been used."""
    if isinstance(frame, NoisedFrame):
        return reveal_noised(total, reference, frame, weight)
    return fixed_point_mechanism.reveal(total, reference, frame, let_go)
