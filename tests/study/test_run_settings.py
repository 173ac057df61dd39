"""What only one machine needs is no part of a study, and old study files say how to become two."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.study.declaration import Study
from wardround.study.moved_settings import MOVED
from wardround.study.reading import load_study, parse_study
from wardround.study.run_settings import RunSettings, load_run, load_site, parse_run, run_file_of, settings_beside
from wardround.study.sections.execution import ExecutionSection
from wardround.study.sections.external import ExternalSection
from wardround.study.sections.simulation import SimulatedHospital, SimulationSection
from wardround.study.toml_reading import known_keys
from wardround.values.errors import StudyError

HEAD = 'format = 1\n[question]\ntitle = "Old"\n[data]\nkind = "image"\n[network]\nname = "small_cnn"\n'
OLD = {
    "tables": '[training]\nseed = 4\ndevice = "cpu"\n[sites]\ndeadline_s = 60.0\nminimum = 2\n[evaluation.external]\n'
    'name = "abroad"\npath = "abroad.npz" # far away\nsplit = "all"\n[simulation]\nby = "label"\nhospitals = [\n'
    '  { name = "a", positive_share = 0.2 },\n\n  { name = "b", positive_share = 0.3 },\n]\nseed = 5\n',
    "inline": 'training = { seed = 4, device = "cpu" }\nsites = { deadline_s = 60.0, minimum = 2 }\n',
    "inline inside": '[evaluation]\nown_baseline = false\nexternal = { name = "abroad", dataset = "uci_wdbc" }\n',
    "inline twice": 'evaluation = { own_baseline = false, external = { name = "abroad", dataset = "uci_wdbc" } }\n',
    "dotted": 'training.device = "cpu"\nevaluation.external.name = "abroad"\nevaluation.external.dataset = "uci_wdbc"\n',
    "dotted inline": 'evaluation.external = { name = "abroad", path = "a = b.npz" }\nevaluation.own_baseline = false\n',
    "lists": '[[simulation.hospitals]]\nname = "a"\n[[simulation.hospitals]]\nname = "b"\n[training]\nseed = 4\n[simulation]\n'
    'by = "iid"\n',
    "nothing else": '[sites]\ndeadline_s = 60\n[evaluation.external]\ndataset = "uci_wdbc"\n',
}


def written(case: str) -> str:
    """Keys at the top of a file stand before its tables."""
    text = OLD[case]
    return HEAD + text if text.startswith("[") else HEAD.replace("[question]", f"{text}[question]")


def followed(message: str, text: str, folder: Path) -> None:
    """Does what the message says and nothing more, as a person with an editor would."""
    lines = text.splitlines()
    target = re.search(r"Write these lines into (.*?)(?:, in place of what it holds)?:$", message, re.MULTILINE)
    body = re.search(r"Write these lines into [^\n]*:\n\n(.*?)\n\nAnd change", message, re.DOTALL)
    assert target and body
    (folder / Path(target[1]).name).write_text(body[1] + "\n", "utf-8")
    changes = re.findall(r"^  lines? (\d+)(?: to (\d+))?: (remove|write (.*))", message, re.MULTILINE)
    assert changes
    for first, last, action, replacement in changes:
        assert action.startswith(("remove", "write"))
        lines[int(first) - 1 : int(last or first)] = [replacement] if replacement else []
    (folder / "study.toml").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize("case", OLD)
def test_an_old_study_file_becomes_two_files_by_doing_what_its_message_says(tmp_path: Path, case: str) -> None:
    """A message that cannot be followed to the letter is worse than none."""
    text, path = written(case), tmp_path / "study.toml"
    before = tomllib.loads(text)
    path.write_text(text, "utf-8")
    with pytest.raises(StudyError, match="only the machine that runs it needs") as error:
        load_study(path)
    assert str(run_file_of(path)) in str(error.value)
    followed(str(error.value), text, tmp_path)
    study, after = load_study(path), tomllib.loads((tmp_path / "study.run.toml").read_text("utf-8"))
    settings = settings_beside(path)
    for old, new in MOVED.items():
        assert at(after, new) == at(before, old)
    assert settings.run.deadline_s == (60 if "deadline_s" in text else 3600)
    kept = tomllib.loads(path.read_text("utf-8"))
    assert kept.get("training", {}).get("seed", 0) == study.training.seed == (4 if "seed = 4" in text else 0)
    external = before.get("evaluation", {}).get("external")
    assert (study.evaluation.external is None) == (external is None)
    if external and study.evaluation.external:
        assert study.evaluation.external.name == external.get("name", "external")


def test_a_run_file_that_is_there_already_keeps_what_it_says(tmp_path: Path) -> None:
    """[run] written twice would be no TOML, and a person's own settings are not to be lost."""
    text, path = written("tables"), tmp_path / "study.toml"
    path.write_text(text, "utf-8")
    run_file_of(path).write_text('[run]\nworkers = 2\ndevice = "mps"\n[external]\ndataset = "uci_wdbc"\n', "utf-8")
    with pytest.raises(StudyError, match="in place of what it holds") as error:
        load_study(path)
    followed(str(error.value), text, tmp_path)
    load_study(path)
    settings = settings_beside(path)
    assert settings.stated() == {"workers": 2, "device": "cpu", "deadline_s": 60.0}
    assert settings.external is not None and settings.external.dataset is None


def at(value: object, path: tuple[str, ...]) -> object:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def test_every_moved_setting_is_known_to_the_run_file_and_not_to_the_study() -> None:
    """The message would send its reader to a place that refuses her."""
    for old, new in MOVED.items():
        assert old[-1] not in known_keys(Study, old[:-1])
        assert new[-1] in known_keys(RunSettings, new[:-1])


def test_what_one_machine_needs_is_not_in_the_hash() -> None:
    """A hospital uses its graphics card without asking the others."""
    names = set(str(Study.model_json_schema()).split("'"))
    assert not names & {"device", "deadline_s", "workers", "simulation", "path"}


def test_a_run_file_names_every_problem_with_its_line() -> None:
    """A run file is written by hand, like a study."""
    with pytest.raises(StudyError) as error:
        parse_run('[run]\ndevcie = "cpu"\nworkers = -1\n[external]\nsplit = "all"\n', "a.run.toml")
    head, *problems = str(error.value).rstrip(".").splitlines()
    assert head == "a.run.toml has 3 problems:"
    assert sorted(problems) == [
        "  line 2, run.devcie: unknown key; did you mean device?",
        "  line 3, run.workers: input should be greater than or equal to 0; found '-1'",
        "  line 4, external: name either a dataset or a path",
    ]


def test_a_run_file_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    """Only the file beside the study may be missing: it has defaults."""
    with pytest.raises(StudyError, match="no run file"):
        load_run(tmp_path / "absent.toml")
    assert settings_beside(tmp_path / "study.toml") == RunSettings()


def test_a_path_starts_in_the_folder_of_its_file(tmp_path: Path) -> None:
    """The command may be typed anywhere."""
    (tmp_path / "a.run.toml").write_text('[external]\npath = "data/abroad.csv"\n', "utf-8")
    external = load_run(tmp_path / "a.run.toml").external
    assert external is not None and external.path == str(tmp_path / "data" / "abroad.csv")


def test_a_flag_wins_and_none_changes_nothing() -> None:
    """--workers for once, without a change of the file."""
    settings = parse_run('[run]\nworkers = 3\ndevice = "cpu"\n')
    changed = settings.with_run(workers=0, device=None)
    assert (changed.run.workers, changed.run.device, changed.run.deadline_s) == (0, "cpu", 3600.0)
    assert changed.stated() == {"workers": 0, "device": "cpu"}
    with pytest.raises(StudyError, match=r"device cannot be used.*'auto', 'cpu', 'cuda' or 'mps'.*'gpu'"):
        settings.with_run(device="gpu")


SETTINGS = st.builds(
    RunSettings,
    run=st.builds(
        ExecutionSection,
        workers=st.none() | st.integers(0, 1000),
        deadline_s=st.floats(0.5, 604_800),
        device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
    ),
    external=st.none()
    | st.builds(ExternalSection, path=st.text("ab/ é\"'\\", min_size=1), split=st.sampled_from(["test", "all"])),
    simulation=st.none()
    | st.builds(
        SimulationSection,
        by=st.sampled_from(["iid", "column"]),
        hospitals=st.lists(st.builds(SimulatedHospital, name=st.sampled_from("abc"), share=st.floats(0.1, 1))).map(tuple),
    ),
)


@given(SETTINGS)
def test_settings_are_written_and_read_as_the_same(settings: RunSettings) -> None:
    """A resumed run reads what the run was started with."""
    assert parse_run(settings.to_toml()) == settings


def test_a_hospitals_own_file_is_read_with_its_paths(tmp_path: Path) -> None:
    """Its administrator writes paths as they are seen from that file."""
    (tmp_path / "site.toml").write_text('data = "images"\nfolder = "state"\ndevice = "cuda"\nthreads = 8\n', "utf-8")
    settings = load_site(tmp_path / "site.toml")
    assert (settings.data, settings.folder) == (str(tmp_path / "images"), str(tmp_path / "state"))
    assert (settings.device, settings.threads, settings.ledger) == ("cuda", 8, None)
    (tmp_path / "site.toml").write_text('folder = "state"\ndevcie = "cuda"\n', "utf-8")
    with pytest.raises(StudyError, match=r"data: missing; add it\n  line 2, devcie: unknown key; did you mean device\?"):
        load_site(tmp_path / "site.toml")


def test_a_study_is_read_as_before_where_nothing_moved() -> None:
    """The check comes before all others and must not be in the way."""
    assert parse_study(HEAD).question.title == "Old"
