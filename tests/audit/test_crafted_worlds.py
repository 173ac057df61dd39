"""The audit's malicious model of a study's own network: at most one clip norm as the code is, more once arithmetic is broken."""

import pytest
import torch.nn.functional as F

from wardround.audit.crafted_worlds import malicious_model
from wardround.audit.study_audit import audit_study
from wardround.plan.pricing import with_noise
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.training.per_patient.convolution import ConvLayer

pytestmark = pytest.mark.permission
TEXT = """\
format = 1
[question]
title = "Private"
[data]
kind = "{kind}"
{data}
[data.patient]
required = true
[network]
{network}
[training]
class_balance = false
[algorithm]
name = "fedsgd"
rounds = 2
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
noise_multiplier = 2.0
delta = 1e-5
clip_norm = 0.01
public_patients = 100
"""
COLUMNS = "".join(f'[[data.columns]]\nname = "c{number}"\nrange = [-4, 4]\n' for number in range(30))
MLP = 'name = "mlp"\nhidden = [10]'


def table(network: str) -> Study:
    return with_noise(parse_study(TEXT.format(kind="table", data=COLUMNS, network=network)))


def images(network: str) -> Study:
    return with_noise(parse_study(TEXT.format(kind="image", data="[data.image]\nsize = [28, 28]", network=network)))


@pytest.mark.parametrize("network", ['name = "logistic"', MLP], ids=["logistic", "mlp"])
def test_no_crafted_model_of_a_table_moves_a_sum_by_more_than_one_clip_norm(network: str) -> None:
    """With the study's own network: kernels change with the shape."""
    attack = malicious_model(table(network))
    assert attack is not None and attack.worlds == 6
    assert 0.9 < attack.moved <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("network", ['name = "small_cnn"\nwidth = 8', 'name = "resnet"\nwidth = 8\nblocks = [1, 1]'])
def test_no_crafted_model_of_images_moves_a_sum_by_more_than_one_clip_norm(network: str) -> None:
    """A network of images is under the same statement."""
    attack = malicious_model(images(network))
    assert attack is not None and 0.9 < attack.moved <= 1.0


@pytest.mark.slow
def test_a_library_s_product_ends_the_audit_with_its_own_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row must be able to fail, and the command's exit code with it."""
    monkeypatch.setattr("wardround.training.per_patient.layers.product", F.linear)
    seen = audit_study(table(MLP), 1000)
    assert seen.malicious is not None and seen.malicious.moved > 3.0
    assert seen.refuted and seen.verdict.startswith("Clipping does not hold here")


def test_a_convolution_that_rounds_by_its_row_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images it is the library's kernels that could do it."""
    forward = ConvLayer.forward

    def uneven(layer: ConvLayer, inputs: object) -> object:
        outputs = forward(layer, inputs)  # type: ignore[arg-type]
        outputs[::2] *= 1 + 2**-23
        return outputs

    monkeypatch.setattr(ConvLayer, "forward", uneven)
    attack = malicious_model(images('name = "small_cnn"\nwidth = 8'))
    assert attack is not None and attack.refuted
