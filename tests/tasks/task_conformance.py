"""The laws of every kind of question. A task's test class inherits them and says what its outputs and labels look like.

class TestMine(TaskConformance):
    def task(self) -> Task: ...
    def draw(self, rng, n) -> (outputs, labels)
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import TrainingSection
from wardround.tasks.evaluation import evaluation_of, sums_of
from wardround.tasks.protocol import Task, fall, read_sums
from wardround.tasks.sums import Sums, counts_of_json
from wardround.training.inputs import InputShape
from wardround.training.networks import build
from wardround.training.per_patient import PatientGradients
from wardround.training.per_patient.clipping import scales
from wardround.values.errors import RunError, WireError

Scored = tuple[NDArray[np.float32], NDArray[Any]]
RULES = ("half", "validation", "near_half", "robust")


class TaskConformance:
    """Inherit it, and give `task` and `draw`."""

    def task(self) -> Task:
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        """outputs (n,) or (n, outputs) and labels (n, ...) as a trained model and a hospital give them."""
        raise NotImplementedError

    def sets(self) -> Iterator[Scored]:
        """Several sets of records of different sizes."""
        for seed, n in enumerate((1, 2, 7, 60, 300)):
            yield self.draw(np.random.default_rng(seed), n)

    def sums(self, scored: Scored) -> Sums:
        return self.task().sums(*scored)

    def test_two_sets_together_have_the_sum_of_their_sums_bit_for_bit(self) -> None:
        """It is what lets hospitals evaluate a model together without pooling what it says of patients."""
        for outputs, labels in self.sets():
            for cut in {0, 1, len(labels) // 2, len(labels)}:
                apart = self.sums((outputs[:cut], labels[:cut])) + self.sums((outputs[cut:], labels[cut:]))
                assert apart == self.sums((outputs, labels))

    def test_the_order_of_records_leaves_no_trace(self) -> None:
        """No floating-point order may identify a row."""
        for seed, (outputs, labels) in enumerate(self.sets()):
            order = np.random.default_rng(seed).permutation(len(labels))
            assert self.sums((outputs[order], labels[order])) == self.sums((outputs, labels))

    def test_a_records_loss_is_its_own(self) -> None:
        """A hospital chooses its model by these, patient by patient: nobody else may be in a patient's."""
        for outputs, labels in self.sets():
            losses = self.task().losses(outputs, labels)
            alone = [self.task().losses(outputs[row : row + 1], labels[row : row + 1])[0] for row in range(len(labels))]
            assert losses.shape == (len(labels),) and losses.dtype == np.float64
            assert np.isfinite(losses).all() and losses.tolist() == alone

    def test_an_answer_mixed_with_a_vote_loses_no_more_than_the_mean_of_both(self) -> None:
        """Mixed where answers can be meaned, the proper loss is convex: what is asked of neighbours costs at most their share."""
        task = self.task()
        for seed, (outputs, labels) in enumerate(self.sets()):
            asked = np.random.default_rng(seed).permutation(len(labels))
            votes, voters = task.votes(labels)[asked], np.full(len(labels), 9.0)
            model, vote = task.losses(outputs, labels), task.losses(task.with_votes(outputs, votes, voters, 1.0), labels)
            for share in (0.1, 0.5, 0.9):
                mixed = task.losses(task.with_votes(outputs, votes, voters, share), labels)
                assert (mixed <= (1 - share) * model + share * vote + 1e-9).all()

    def test_many_who_say_what_is_true_leave_next_to_no_loss(self) -> None:
        """A vote of records just like this one is the answer; of more of them, more surely."""
        task = self.task()
        for outputs, labels in self.sets():
            losses = [
                task.losses(task.with_votes(outputs, task.votes(labels), np.full(len(labels), voters), 1.0), labels)
                for voters in (1.0, 10.0, 1e6)
            ]
            assert (losses[0] >= losses[1]).all() and (losses[1] >= losses[2]).all() and losses[2].max() < 1e-5

    def test_no_vote_makes_an_output_infinite(self) -> None:
        """One patient who is the exception to a thousand would cost a hospital everything."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(4), 20)
        for sure in (outputs * 0.0 + 1e6, outputs * 0.0 - 1e6):
            for share in (0.1, 1.0):
                assert np.isfinite(task.with_votes(sure, task.votes(labels), np.full(20, 1e4), share)).all()

    def test_torch_mixes_votes_as_numpy_does(self) -> None:
        """The file at the bedside is made of the one, the figures of the other."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(5), 200)
        votes, voters = task.votes(labels), np.linspace(1, 50, 200)
        for share in (0.1, 0.7, 1.0):
            expected = task.with_votes(outputs, votes, voters, share)
            given, voted, counted = (torch.from_numpy(np.float32(one)) for one in (outputs, votes, voters))
            given = task.with_votes_in_torch(given, voted, counted, share)
            np.testing.assert_allclose(given.numpy(), expected, atol=2e-5)

    def test_no_records_add_nothing(self) -> None:
        """A hospital without test patients must not disturb the others."""
        task = self.task()
        for outputs, labels in self.sets():
            sums = self.sums((outputs, labels))
            assert sums + Sums.zero(task.shapes) == sums
            assert self.sums((outputs[:0], labels[:0])) == Sums.zero(task.shapes)
            assert task.records(sums) == len(labels)
        assert task.records(Sums.zero(task.shapes)) == 0

    def test_sums_survive_the_wire_a_checkpoint_and_a_record(self) -> None:
        """What a site counted is what the coordinator reads, and what a report draws years later."""
        task = self.task()
        for scored in self.sets():
            sums = self.sums(scored)
            counts = sums.to_counts()
            assert {name: array.shape for name, array in counts.items()} == task.shapes
            assert all(array.dtype == np.int64 and (array >= 0).all() for array in counts.values())
            assert read_sums(task, counts) == sums
            stored = json.dumps(sums.to_json())
            assert read_sums(task, counts_of_json(json.loads(stored))) == sums and len(stored) < 30_000
            assert read_sums(task, task.unpack(json.loads(json.dumps(task.pack(sums))))) == sums
            evaluation = evaluation_of(task, sums, self.decision())
            assert sums_of(task, type(evaluation).model_validate_json(evaluation.model_dump_json())) == sums

    def test_sums_that_no_records_have_are_refused(self) -> None:
        """A wrong or invented sum must not become a published figure."""
        task = self.task()
        counts = self.sums(self.draw(np.random.default_rng(9), 40)).to_counts()
        for spoilt in self.impossible(counts):
            with pytest.raises(WireError, match="not the sums of an evaluation"):
                read_sums(task, spoilt)

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        """Counts that every task must refuse; a task adds those that contradict each other."""
        first = next(iter(counts))
        yield {}
        yield counts | {"patients": np.zeros(3, np.int64)}
        yield {name: array for name, array in counts.items() if name != first}
        for name, array in counts.items():
            yield counts | {name: -array - 1}
            yield counts | {name: array.astype(np.float64)}
            yield counts | {name: np.zeros((*array.shape, 2), np.int64)}

    def test_figures_of_nothing_are_undefined_and_never_an_error(self) -> None:
        """An empty site, or one with a single record, must still get a report."""
        task = self.task()
        nothing = Sums.zero(task.shapes)
        for replicates in (0, 20):
            figures = task.figures(nothing, self.decision(), replicates=replicates)
            assert figures.values["n"] == 0
            assert math.isnan(figures.values[task.headline]) and math.isnan(task.score(nothing))
            assert all(math.isnan(low) and math.isnan(high) for low, high in figures.intervals.values())
        assert task.charts({"federated": nothing}) == ()
        assert math.isnan(fall(task, nothing, nothing))
        for n in range(1, 6):
            outputs, labels = self.draw(np.random.default_rng(n), n)
            task.figures(self.sums((outputs, labels)), self.decision(), replicates=20)

    def test_figures_follow_from_the_sums_alone_and_lie_within_their_intervals(self) -> None:
        """The same record gives the same report, and no interval lies beside its estimate."""
        task = self.task()
        sums = self.sums(self.draw(np.random.default_rng(4), 400))
        figures = task.figures(sums, self.decision(), replicates=100)
        assert figures == task.figures(read_sums(task, sums.to_counts()), self.decision(), replicates=100)
        for name, (low, high) in figures.intervals.items():
            assert low <= figures.values[name] <= high, name
        assert figures.values[task.headline] == pytest.approx(task.score(sums))

    def test_a_worse_model_has_a_fall_and_a_better_one_has_none(self) -> None:
        """A round is taken back by the sign of this number."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(5), 300)
        good = self.sums((outputs, labels))
        bad = self.sums((outputs[::-1].copy(), labels))
        assert fall(task, good, bad) > 0 > fall(task, bad, good)
        assert fall(task, good, good) == 0

    def test_the_loss_of_a_row_follows_from_that_row_alone(self) -> None:
        """Otherwise one patient would change another's gradient, and no privacy proof would hold."""
        outputs, labels = self.draw(np.random.default_rng(6), 12)
        rows, aims = torch.from_numpy(outputs), torch.from_numpy(self.task().targets(labels))
        for given_labels in (None, labels):
            loss = self.task().row_loss(TrainingSection(), given_labels)
            whole = loss(rows, aims)
            assert whole.shape == (12,)
            alone = torch.cat([loss(rows[i : i + 1], aims[i : i + 1]) for i in range(12)])
            torch.testing.assert_close(whole, alone)
            spoilt = rows.clone()
            spoilt[0] = 50.0
            torch.testing.assert_close(loss(spoilt, aims)[1:], whole[1:])

    def test_one_record_more_changes_the_sums_by_no_more_than_is_stated(self) -> None:
        """Whoever bounds or noises these sums one day goes by that number."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(15), 60)
        outputs = np.concatenate([outputs, 1e9 * outputs, -1e9 * outputs])
        labels = np.concatenate([labels, labels, labels])
        assert task.most_added.keys() == task.shapes.keys()
        for row in range(len(labels)):
            added = task.sums(outputs[row : row + 1], labels[row : row + 1])
            assert all(0 <= added[name].sum() <= most for name, most in task.most_added.items())

    def test_a_blank_record_counts_nowhere(self) -> None:
        """Nobody knows its answer: it may move neither a model nor a figure."""
        task, blank = self.task(), self.blank()
        if blank is None:
            pytest.skip("this question has no blanks: a record without an answer is told by the reader and left out")
        outputs, labels = self.draw(np.random.default_rng(16), 40)
        blanked = labels.copy()
        blanked[::3] = blank
        kept = np.flatnonzero(np.arange(40) % 3)
        assert task.sums(outputs, blanked) == task.sums(outputs[kept], labels[kept])
        assert task.count_labels(blanked) == task.count_labels(labels[kept])
        assert (task.losses(outputs, blanked)[::3] == 0).all()
        rows = torch.from_numpy(outputs).requires_grad_()
        loss = task.row_loss(TrainingSection(), blanked)(rows, torch.from_numpy(task.targets(blanked)))
        (gradient,) = torch.autograd.grad(loss.sum(), rows)
        assert (loss[::3] == 0).all() and (gradient[::3] == 0).all() and (loss[kept] != 0).all()
        assert task.said(blanked)[0] is None
        nobody = np.full(40, blank)
        assert task.sums(outputs, nobody) == Sums.zero(task.shapes)

    def blank(self) -> Any:
        """The label of a record whose answer is not known; None where there is none."""
        return None

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_a_sum_of_clipped_gradients_is_that_of_torch_func(self, smoothing: float) -> None:
        """One patient's gradient, clipped alone, whatever the question: what a private step adds up."""
        task = self.task()
        rng = np.random.default_rng(17)
        module = build(NetworkSection(name="mlp", hidden=(5,)), InputShape("table", features=4), task.outputs)
        with torch.no_grad():
            for tensor in module.parameters():
                tensor.copy_(torch.from_numpy(rng.normal(0, 0.7, tuple(tensor.shape)).astype(np.float32)))
        rows = torch.from_numpy(rng.normal(size=(23, 4)).astype(np.float32))
        targets = torch.from_numpy(task.targets(task.drawn(rng, 23)))
        loss = task.row_loss(TrainingSection(label_smoothing=smoothing), None)
        mine = PatientGradients(module, clip_norm=0.4, threads=1).clipped_sum(rows, targets, np.ones(23, np.int64), loss)
        parameters = {name: tensor.detach() for name, tensor in module.named_parameters()}

        def alone(values: dict[str, torch.Tensor], row: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return loss(torch.func.functional_call(module, values, (row[None],)), target[None]).sum()

        each = torch.func.vmap(torch.func.grad(alone), (None, 0, 0))(parameters, rows, targets)
        norms = torch.stack([one.flatten(1).double().square().sum(1) for one in each.values()]).sum(0).sqrt()
        torch.testing.assert_close(mine.norms, norms, rtol=1e-4, atol=1e-6)
        factors = scales(norms, torch.zeros(23), 0.4)
        for total, one in zip(mine.sums, each.values(), strict=True):
            expected = (factors.reshape(-1, *[1] * (one.ndim - 1)) * one.double()).sum(0)
            torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-6)

    def test_made_up_labels_are_labels(self) -> None:
        """A site tries its arithmetic with them before a private study opens."""
        task = self.task()
        labels = task.drawn(np.random.default_rng(18), 500)
        assert len(labels) == 500 and len(task.targets(labels)) == 500 and task.targets(labels).dtype == np.float32
        outputs, _ = self.draw(np.random.default_rng(18), 500)
        task.check(task.sums(outputs, labels))

    def test_records_that_were_prepared_before_are_known_again(self) -> None:
        """A simulation divides one data set, and each hospital reads its part from a file of targets."""
        label = self.contract()
        targets = self.task().drawn(np.random.default_rng(20), 50)
        assert all(label.knows(target) for target in targets.tolist())
        assert not label.knows(-7.0) and label.parts(targets) is not None

    def contract(self) -> LabelContract:
        """The label section that the task is of."""
        return LabelContract()

    def test_an_answer_table_has_a_row_for_each_record(self) -> None:
        """What the ONNX file shows becomes columns with names, and labels become words."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(19), 9)
        shown = task.shown(torch.from_numpy(outputs)).numpy()
        assert shown.shape == ((9,) if len(task.words.outputs) == 1 else (9, len(task.words.outputs)))
        columns = task.answers(np.asarray(shown, np.float64), self.decision())
        assert columns and all(len(column) == 9 for column in columns.values())
        assert len(task.said(labels)) == 9

    def test_the_loss_takes_mixed_targets_and_lets_a_model_learn(self) -> None:
        """Mixup gives targets between two labels; a step against the gradient must lower the loss."""
        outputs, labels = self.draw(np.random.default_rng(7), 30)
        loss = self.task().row_loss(TrainingSection(), labels)
        targets = torch.from_numpy(self.task().targets(labels))
        mixed = torch.lerp(targets.roll(1, 0), targets, 0.3)
        for aims in (targets, mixed):
            rows = torch.from_numpy(outputs).clone().requires_grad_()
            before = loss(rows, aims).sum()
            (gradient,) = torch.autograd.grad(before, rows)
            after = loss(rows.detach() - 1e-3 * gradient, aims).sum()
            assert torch.isfinite(before) and after < before

    def test_outputs_that_are_not_numbers_are_refused_by_name(self) -> None:
        """A diverged model must stop the run, not turn into a plausible figure."""
        outputs, labels = self.draw(np.random.default_rng(8), 5)
        outputs = outputs.copy()
        outputs[2] = np.nan
        with pytest.raises(RunError, match="not numbers"):
            self.sums((outputs, labels))

    def test_infinite_outputs_are_scores_as_any_other(self) -> None:
        """A site has no refusal for them: whether a model overflows for a patient would be told by it."""
        outputs, labels = self.draw(np.random.default_rng(8), 6)
        outputs = outputs.copy()
        outputs[2], outputs[3] = np.inf, -np.inf
        sums = self.sums((outputs, labels))
        assert self.task().records(sums) == 6
        self.task().check(sums)

    def decision(self) -> Decision:
        """One that the task itself chose, on other records."""
        return self.task().decide("validation", {"validation": self.sums(self.draw(np.random.default_rng(99), 80))})

    def test_every_rule_gives_a_decision_the_task_can_use_also_where_there_is_nothing_to_choose_by(self) -> None:
        """A hospital with one class, or none, still gets a model and a table."""
        task = self.task()
        some = self.sums(self.draw(np.random.default_rng(3), 50))
        for rule in RULES:
            for sums in (some, Sums.zero(task.shapes)):
                decision = task.decide(rule, {"validation": sums})
                assert (decision is None) == (not task.words.thresholds)
                figures = task.figures(some, decision, replicates=0)
                assert task.words.decision_in(dict(figures.values)) == decision
                assert set(task.words.shown_decision(decision).split()) >= {name for _, _, name in task.words.decisions}

    def test_labels_are_counted_alike_at_opening_and_in_figures(self) -> None:
        """Two numbers of the same thing that disagree would discredit both."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(11), 70)
        counted = task.count_labels(labels)
        assert list(counted) == list(task.words.counted) == list(task.words.counted_in_text)
        figures = task.figures(self.sums((outputs, labels)), self.decision(), replicates=0)
        assert {name: figures.values[name] for name in counted} == counted
        assert task.count_labels(labels[:0]) == dict.fromkeys(counted, 0)
        groups = task.strata(labels)
        assert groups.shape == (70,) and groups.min() >= 0

    def test_there_are_words_for_every_figure(self) -> None:
        """A table with a key in it, or an error in the report, is found by a doctor otherwise."""
        task = self.task()
        words = task.words
        figures = task.figures(self.sums(self.draw(np.random.default_rng(12), 30)), self.decision(), replicates=0)
        decisions = {key for key, _ in words.thresholds}
        assert set(figures.values) == {*words.names, *words.counted, *decisions, "n"}
        assert set(figures.intervals) <= set(words.names)
        assert words.compared[0] == task.headline
        assert set(words.compared) <= set(words.in_text) and set(words.compared) | set(words.tiles) <= set(words.names)
        assert "{" not in words.output_words.format(decision="0.5") and words.measures

    def test_what_is_shown_has_a_row_for_each_record(self) -> None:
        """The ONNX file gives one answer for each patient."""
        outputs, _ = self.draw(np.random.default_rng(13), 9)
        shown = self.task().shown(torch.from_numpy(outputs))
        assert shown.shape[0] == 9 and torch.isfinite(shown).all()
        assert outputs.shape == ((9,) if self.task().outputs == 1 else (9, self.task().outputs))

    def test_a_model_compared_with_itself_shows_no_difference(self) -> None:
        """A test that finds something there would find it everywhere."""
        outputs, labels = self.draw(np.random.default_rng(14), 60)
        for difference in self.task().paired((outputs, outputs), labels, (self.decision(), self.decision())).values():
            assert (difference.difference, difference.p_value, difference.discordant, difference.n) == (0.0, 1.0, 0, 60)
