"""The optimiser's state from round to round, beside what an algorithm keeps at a site.

    memory that counts --parted--> the algorithm's own, moments --work--> memory, run --joined--> memory that waits to be counted

No algorithm sees it, so that each keeps its laws. It is committed with the algorithm's memory, only where the site was counted,
and nothing that leaves is worked out from it but the steps themselves. Own models keep theirs in a file beside each model.
"""

from wardround.values.tree import Bundle, Tree

MOMENTS = "moments"
"""The part of a site's memory that holds them. No algorithm may name one of its parts so."""


def parted(memory: Bundle) -> tuple[Bundle, Tree]:
    """An algorithm's own memory, and the moments; these are empty before the first round that was counted."""
    return {part: tree for part, tree in memory.items() if part != MOMENTS}, memory.get(MOMENTS, {})


def joined(memory: Bundle, moments: Tree) -> Bundle:
    """What `parted` takes apart; without moments, the memory as it is. ValueError where an algorithm has a part of this name."""
    if MOMENTS in memory:
        raise ValueError(f"an algorithm's memory has a part named {MOMENTS}, which is the optimiser's")
    return {**memory, MOMENTS: moments} if moments else memory


def own_moments_file(model_file: str) -> str:
    """The file of the moments that belong to an own model, by the name of its file."""
    return f"{model_file}-{MOMENTS}"
