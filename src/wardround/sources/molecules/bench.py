"""The child processes that read molecules. RDKit is C++: a SMILES of deep brackets ends its process, another may keep it busy for
hours. Here that costs the row, which is told, and not the hospital's process. What RDKit prints goes nowhere.

    SMILES --pieces, a line of JSON each--> child (`child.py`) --a line of JSON, and the values--> ReadMolecules

A piece whose child ended is read again word by word, each answer kept, in a new child after each word that ended one.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.progress import tell
from wardround.sources.reading_threads import in_threads, spare_threads
from wardround.study.sections.molecule import MoleculeContract
from wardround.values.errors import DataError, MissingExtraError

LONGEST_SMILES = 2000
"""In characters. A drug has a hundred; RDKit's own recursion ends its process at some ten thousand."""
MOST_ATOMS = 1000
AGREED_FORMS = "88e617a48e4c6a1ddaa9d85fcd6897ea09b5ef05f1736df400e180a52da0a3af"
"""What `agreed_forms` is with every RDKit that may take part: others would give a compound another fold, or other inputs."""
_PIECE = 256
_PIECE_S, _WORD_S = 120.0, 20.0
_START_S = 120.0

READ, ABSENT, UNREADABLE, TOO_LONG, BROKE_OFF = range(5)
"""What became of a SMILES."""


@dataclass(frozen=True)
class ReadMolecules:
    """Of n SMILES. outcome: (n,), READ or why not. keys, groups: (n,), "" where not read. mended: (n,). values: (n, length), 0
    where not read; uint8, or float32 with descriptors."""

    outcome: NDArray[np.int8]
    keys: NDArray[np.str_]
    groups: NDArray[np.str_]
    mended: NDArray[np.bool_]
    values: NDArray[Any]


def read_molecules(words: Sequence[str], rules: MoleculeContract) -> ReadMolecules:
    """What each SMILES is. MissingExtraError without RDKit; DataError where it is not one that may take part."""
    result = _nothing_read(words, rules)
    asked = np.flatnonzero(result.outcome == READ)
    pieces = [asked[start : start + _PIECE] for start in range(0, len(asked), _PIECE)]
    threads = min(spare_threads(), len(pieces))
    lanes = [pieces[lane::threads] for lane in range(threads)]
    for done, _ in enumerate(in_threads(lambda lane: _read_lane(lane, words, rules, result), lanes, threads), 1):
        tell("molecules", done, threads)
    return result


class KeptBench:
    """A child that stays, for a service that is asked a molecule now and then. One question at a time: the caller sees to it."""

    def __init__(self, rules: MoleculeContract) -> None:
        self._rules, self._bench = rules, _Bench(rules)

    def read(self, word: str) -> ReadMolecules:
        """As `read_molecules`, of one SMILES."""
        result = _nothing_read([word], self._rules)
        if result.outcome[0] == READ:
            _keep(np.array([0]), self._bench.ask([word], _WORD_S), result)
        return result

    def close(self) -> None:
        self._bench.end()


def _nothing_read(words: Sequence[str], rules: MoleculeContract) -> ReadMolecules:
    """Before any chemistry. MissingExtraError without RDKit."""
    if importlib.util.find_spec("rdkit") is None:
        raise MissingExtraError(
            "Molecules are read by RDKit, which is not installed", expected="the package rdkit",
            hint='pip install "wardround[chemistry]"',
        )  # fmt: skip
    dtype = np.float32 if rules.descriptors else np.uint8
    outcome = np.array([_without_chemistry(word) for word in words], np.int8).reshape(len(words))
    return ReadMolecules(
        outcome,
        np.full(len(words), "", "<U48"),
        np.full(len(words), "", "<U48"),
        np.zeros(len(words), bool),
        np.zeros((len(words), rules.length), dtype),
    )


def _without_chemistry(word: str) -> int:
    if not word.strip():
        return ABSENT
    return TOO_LONG if len(word) > LONGEST_SMILES else READ


def _read_lane(pieces: Sequence[NDArray[np.int64]], words: Sequence[str], rules: MoleculeContract, result: ReadMolecules) -> None:
    bench = _Bench(rules)
    try:
        for piece in pieces:
            for positions, answer in _answers(bench, piece, words):
                _keep(positions, answer, result)
    finally:
        bench.end()


def _answers(
    bench: "_Bench", piece: NDArray[np.int64], words: Sequence[str]
) -> Iterator[tuple[NDArray[np.int64], "_Answer | None"]]:
    """The answer for a piece, or for each of its words; None where the child ended over it."""
    answer = bench.ask([words[position] for position in piece.tolist()], _PIECE_S)
    if answer is not None or len(piece) == 1:
        yield piece, answer
        return
    for position in piece.tolist():
        yield np.array([position]), bench.ask([words[position]], _WORD_S)


def _keep(positions: NDArray[np.int64], answer: "_Answer | None", result: ReadMolecules) -> None:
    if answer is None:
        result.outcome[positions] = BROKE_OFF
        return
    read = positions[answer.read]
    result.outcome[positions[~answer.read]] = UNREADABLE
    result.keys[read], result.groups[read] = answer.keys, answer.groups
    result.mended[read], result.values[read] = answer.mended, answer.values


@dataclass(frozen=True)
class _Answer:
    """read: (n,) of those asked; the others have a row for each that was read."""

    read: NDArray[np.bool_]
    keys: list[str]
    groups: list[str]
    mended: list[bool]
    values: NDArray[Any]


class _Bench:
    """One child at a time, started when it is first asked. After one that ended comes a new one."""

    def __init__(self, rules: MoleculeContract) -> None:
        self._rules = rules
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, words: Sequence[str], limit_s: float) -> _Answer | None:
        """None where the child ended, or was ended after limit_s, before its answer was whole."""
        process = self._process or self._started()
        try:
            with _ended_after(process, limit_s):
                _pipe(process.stdin).write(json.dumps(list(words)).encode() + b"\n")
                _pipe(process.stdin).flush()
                return self._answer(_pipe(process.stdout))
        except (OSError, ValueError):  # a broken pipe, a line that was cut
            self.end()
            return None

    def _answer(self, stream: IO[bytes]) -> _Answer:
        head = json.loads(stream.readline())
        read = np.array(head["read"], bool)
        dtype = np.dtype(np.float32 if self._rules.descriptors else np.uint8)
        size = int(read.sum()) * self._rules.length * dtype.itemsize
        content = stream.read(size)
        if len(content) != size:
            raise ValueError("cut")
        values = np.frombuffer(content, dtype).reshape(-1, self._rules.length)
        return _Answer(read, head["keys"], head["groups"], head["mended"], values)

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", "wardround.sources.molecules.child"]  # -P: nothing of the folder it runs in
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._process = process
        head: dict[str, str] = {}
        with suppress(OSError, ValueError), _ended_after(process, _START_S):
            order = {"rules": self._rules.model_dump(mode="json"), "most_atoms": MOST_ATOMS}
            _pipe(process.stdin).write(json.dumps(order).encode() + b"\n")
            _pipe(process.stdin).flush()
            head = json.loads(_pipe(process.stdout).readline())
        if head.get("forms") == AGREED_FORMS:
            return process
        self.end()
        if not head:
            raise DataError("RDKit does not start", hint='install it anew: pip install --force-reinstall "wardround[chemistry]"')
        raise DataError(
            "This RDKit makes other numbers of molecules than is agreed: a compound's fold or inputs would differ here",
            expected="an RDKit that the extra chemistry names",
            found=f"rdkit {head.get('version', '')}",
            hint='pip install --upgrade "wardround[chemistry]"',
        )

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # it is gone; what was not yet written would have been read by nobody
                _pipe(stream).close()
        process.wait()


@contextmanager
def _ended_after(process: "subprocess.Popen[bytes]", limit_s: float) -> Iterator[None]:
    """Kills a process that takes longer, so that whoever reads from it hears of its end."""
    timer = threading.Timer(limit_s, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("the child process has no pipe")
    return stream
