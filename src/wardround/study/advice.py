"""What a sound study may still say other than its lead means: sentences beside a check, which forbid nothing."""

from collections.abc import Iterator

from wardround.study.declaration import Study


def advice(study: Study) -> Iterator[str]:
    """Sentences with a mend each; none where nothing is to be said."""
    if study.analysis is None and not study.evaluates_only and study.data.kind != "image" and _weighs_by_counts(study):
        yield (
            "Answers will be no probabilities: training.class_balance is true, so each hospital weighs its classes as if all "
            "were equally frequent. For probabilities of its own patients write class_balance = false under [training]."
        )


def _weighs_by_counts(study: Study) -> bool:
    """Public shares of the classes are another matter: who writes them means them."""
    label = study.data.label
    shares = any(one.share is not None for one in label.asked.classes) if label.kind == "classes" else False
    return label.kind in ("binary", "classes") and study.training.class_balance and not shares
