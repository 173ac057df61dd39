"""What a study with `network.private = "head"` may not say: anything of the hospitals' questions, or what needs one for all."""

from collections.abc import Iterator

from wardround.algorithms import names_where, statement_of
from wardround.study.label import UNDISCLOSED
from wardround.study.rules.sections import Sections


def broken_head_rules(study: Sections) -> Iterator[str]:
    """One sentence for each setting that does not fit whether the last layer is shared; nothing for a sound study."""
    undisclosed = study.data.label.kind == UNDISCLOSED
    if study.network.private != "head":
        if undisclosed:
            yield f'the kind of question "{UNDISCLOSED}" belongs to network.private = "head": set that, or name the question'
        return
    if not undisclosed:
        yield (
            f'network.private = "head" keeps each hospital\'s question at the hospital, and the study names one of the kind '
            f'"{study.data.label.kind}": leave [task] and [data.label] out; each hospital writes its own into its task file'
        )
    if not statement_of(study.algorithm.name).shares_head:
        yield (
            f'network.private = "head" keeps the last layer under every algorithm, and {study.algorithm.name} would keep it once '
            f"more: set algorithm.name = {names_where(lambda one: one.shares_head and one.needs_features is False)}"
        )
    if study.evaluation.external is not None:
        yield (
            'network.private = "head" leaves no model that answers one question, so there is nothing to judge on an external '
            "test set: remove [evaluation.external]"
        )
    if study.evaluation.model is not None:
        yield 'network.private = "head" says how to learn, and evaluation.model names a finished model: leave one of the two out'
