"""A private study that cannot keep its promise must not be sound: what is refused, and that what is sound is not."""

import math

import pytest

from wardround.study.declaration import Study
from wardround.study.protection import guessing_words, protection, right_guesses
from wardround.study.reading import parse_study
from wardround.study.rules.private import LARGEST_STEP
from wardround.training.per_patient.clipping import MOST_PATIENTS
from wardround.values.errors import StudyError

BASE = """\
format = 1
[question]
title = "Private"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-4, 4]
[network]
name = "logistic"
[training]
class_balance = false
[algorithm]
name = "fedsgd"
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
epsilon = 2.0
delta = 1e-5
public_patients = 100
"""
LOCAL = (('name = "fedsgd"', 'name = "fedavg"'), ('"patient-distributed"', '"patient-local"\nsteps = 5'))
SITE = (('name = "fedsgd"', 'name = "fedavg"'), ('"patient-distributed"', '"site"'), ("public_patients = 100\n", ""))


def study(*changes: tuple[str, str]) -> Study:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_study(text)


@pytest.mark.parametrize("changes", [(), LOCAL, SITE], ids=["distributed", "local", "site"])
def test_each_mode_has_a_sound_study(changes: tuple[tuple[str, str], ...]) -> None:
    """Otherwise every refusal below would be proof of nothing."""
    assert study(*changes).privacy.private


def test_a_threshold_of_each_hospitals_own_is_free() -> None:
    """It is chosen where the validation patients are, and stays there; the shared model keeps one half."""
    local = study(('threshold = "half"', 'threshold = "local"')).evaluation
    assert (local.shared_rule, local.home_rule) == ("half", "near_half")
    with pytest.raises(StudyError, match=r'set it to "local"'):
        study(('threshold = "half"', 'threshold = "near_half"'))


def test_more_patients_in_a_step_than_clipping_is_proved_for_are_refused() -> None:
    """Roundings of all patients together have a thousandth of the clip norm: beyond some number the bound would be false."""
    many, delta = ("public_patients = 100", "public_patients = 3000000"), ("delta = 1e-5", "delta = 1e-8")
    with pytest.raises(StudyError, match=r"privacy.sampling_rate: 1 of 3,000,000 patients .* set it to 0\.0873 or less"):
        study(many, delta)
    followed = ("public_patients = 100", "public_patients = 3000000\nsampling_rate = 0.0873")
    assert study(followed, delta).privacy.sampling_rate == 0.0873
    assert 8 * LARGEST_STEP == MOST_PATIENTS


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedopt", "scaffold", "fedbn"])
def test_local_training_goes_with_every_algorithm_of_local_training(name: str) -> None:
    """The noise is inside the hospital: what is built on top of it costs nothing."""
    sgd = ("class_balance = false", 'class_balance = false\noptimizer = "sgd"')
    assert study(*LOCAL, ('name = "fedavg"', f'name = "{name}"'), sgd).algorithm.name == name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((("class_balance = false", "class_balance = true"),), "training.class_balance"),
        ((("class_balance = false", "class_balance = false\n[training.augmentation]\nmixup = 0.2"),), "mixup"),
        ((("class_balance = false", "class_balance = false\nclip_norm = 1.0"),), "training.clip_norm"),
        ((("class_balance = false", "class_balance = false\nbatch_size = 16"),), "privacy.sampling_rate"),
        ((*LOCAL, ("class_balance = false", "class_balance = false\nlocal_epochs = 2")), "privacy.sampling_rate"),
        ((("class_balance = false", "class_balance = false\nlearning_rate = 0.1"),), "training.learning_rate does nothing"),
        ((("class_balance = false", "class_balance = true\nbatch_size = 16"),), "also: patients are drawn"),
        ((('name = "logistic"', 'name = "plain_cnn"\ndropout = 0.2'),), "network.dropout does nothing"),
        ((('threshold = "half"', 'threshold = "validation"'),), "evaluation.threshold"),
        ((("[network]", "[data.splits]\ndeclared = true\n[network]"),), "data.splits.declared"),
        ((("own_baseline = false", "own_baseline = true"),), "own_baseline"),
        ((("[privacy]", "[summation]\nmax_auc_drop = 0.1\n[privacy]"),), "max_auc_drop"),
        ((("[privacy]", "[summation]\nmax_update_norm = 0.1\n[privacy]"),), "summation.max_update_norm"),
        ((("[privacy]", '[summation]\nmode = "plain"\n[privacy]'),), "masked sum"),
        ((("[privacy]", "[summation]\nword_bits = 16\n[privacy]"),), "word_bits"),
        ((('name = "fedsgd"', 'name = "fedavg"'),), "fedsgd"),
        ((*LOCAL, ('name = "fedavg"', 'name = "fedsgd"')), "fedsgd"),
        ((*SITE, ('name = "fedavg"', 'name = "scaffold"'), ("class_balance = false", 'optimizer = "sgd"')), "one change"),
        ((("delta = 1e-5\n", ""),), "delta"),
        ((("delta = 1e-5", "delta = 0.02"),), "below 1 / patients"),
        ((("delta = 1e-5", "delta = 0.006"), ("= 100", "= { north = 90, south = 90 }")), "below 1 / patients of all hospitals"),
        ((("delta = 1e-5", "delta = 0.006"),), "0.005 for 200"),
        (
            (("delta = 1e-5", "delta = 0.003"), ("[privacy]", '[sites]\nnames = ["a", "b", "c", "d"]\n[privacy]')),
            "below 1 / patients",
        ),
        ((*SITE, ("delta = 1e-5", "delta = 0.09")), "set it to 0.001 or less"),
        ((*SITE, ("delta = 1e-5", "delta = 0.0011")), "set it to 0.001 or less"),
        ((("epsilon = 2.0\n", ""),), "epsilon"),
        ((("public_patients = 100\n", ""),), "public_patients is missing"),
        ((("public_patients = 100", "public_patients = 100\nsteps = 3"),), "steps"),
        ((*LOCAL, ("steps = 5", "")), "steps"),
        ((*SITE, ("delta = 1e-5", "delta = 1e-5\nsampling_rate = 0.5")), "sampling_rate"),
        ((('mode = "patient-distributed"', 'mode = "none"'),), "means nothing"),
        ((("public_patients = 100", "public_patients = { north = 0 }"),), "greater than or equal to 1"),
    ],
)
def test_what_would_leave_unpaid_or_break_the_sensitivity_is_refused(changes: tuple[tuple[str, str], ...], said: str) -> None:
    """Each of these would let something out that nobody paid for, or let one patient move another's gradient."""
    with pytest.raises(StudyError, match=said.replace(".", r"\.")):
        study(*changes)


def test_a_delta_that_is_well_below_one_over_the_units_is_accepted() -> None:
    """The limit is for what would give one whole unit away, and for nothing below it."""
    assert study(*SITE, ("delta = 1e-5", "delta = 0.001")).privacy.delta == 0.001
    assert study(("delta = 1e-5", "delta = 0.0049")).privacy.delta == 0.0049
    many = ", ".join(f'"s{number}"' for number in range(200))
    with pytest.raises(StudyError, match=r"set it to 0\.0005 or less"):
        study(*SITE, ("delta = 1e-5", f"delta = 0.001\n[sites]\nnames = [{many}]\n"))


def test_a_delta_near_one_over_the_patients_is_told() -> None:
    """It is sound, and hardly worth approving: whoever approves it should see why."""
    near, far = study(("delta = 1e-5", "delta = 0.001")), study()
    assert "more than a tenth of 1 / patients (200 in all hospitals together)" in " ".join(protection(near))
    assert "a tenth of 1 / patients" not in " ".join(protection(far))


def test_images_must_name_their_patients() -> None:
    """Or the unit would be the image, and somebody with ten images protected ten times less than the study says."""
    table = '[data]\nkind = "table"\n[[data.columns]]\nname = "a"\nrange = [-4, 4]\n'
    images = (table, '[data]\nkind = "image"\n')
    with pytest.raises(StudyError, match=r"data\.patient\.required"):
        study(images)
    assert study((table, '[data]\nkind = "image"\n[data.patient]\nrequired = true\n')).privacy.of_patients


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 30.0])
def test_the_words_beside_an_epsilon_follow_from_it(epsilon: float) -> None:
    """ "Hardly shows" stood beside 30. The limit is the advantage of the best test, which randomised response reaches."""
    limit = right_guesses(epsilon, 0.0)
    answers_truly = math.exp(epsilon) / (1 + math.exp(epsilon))  # randomised response with this epsilon
    assert limit == pytest.approx(answers_truly)
    words = guessing_words(epsilon, 1e-6)
    assert ("hardly a limit" in words) == (limit >= 0.99 - 1e-6)
    if "hardly" not in words:
        assert f"at most {math.ceil(100 * right_guesses(epsilon, 1e-6))} times in 100" in words


def test_patients_may_be_stated_hospital_by_hospital() -> None:
    """Hospitals differ in size, and their weights are these public numbers."""
    stated = study(("public_patients = 100", "public_patients = { north = 50, south = 120 }")).privacy.public_patients
    assert stated == {"north": 50, "south": 120}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((), "against the coordinator together with one hospital"),
        (LOCAL, "against everybody else together"),
        (SITE, "Differentially private for one hospital added or removed"),
        ((("delta = 1e-5", "delta = 1e-5\nnoise_multiplier = 0.0"),), "no guarantee"),
        ((("[privacy]", "[summation]\ncollusion = 0\n[privacy]"),), "against the coordinator alone, if no hospital helps"),
    ],
)
def test_study_check_says_what_is_promised_against_whom(changes: tuple[tuple[str, str], ...], said: str) -> None:
    """A privacy officer approves these sentences."""
    assert said in " ".join(protection(study(*changes)))
