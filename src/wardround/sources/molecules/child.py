"""The child's side of `bench`: a line of JSON with SMILES in, a line of JSON and the values out, until the input ends.

Python's own recursion and memory are bounded by the length of a SMILES, which `bench` bounds.
"""

import json
import sys
from contextlib import suppress

import numpy as np


def main() -> None:
    """Answers over stdin and stdout."""
    import rdkit

    from wardround.sources.molecules.chemistry import Chemist, agreed_forms
    from wardround.study.sections.molecule import MoleculeContract

    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    order = json.loads(orders.readline())
    chemist = Chemist(MoleculeContract(**order["rules"]), order["most_atoms"])
    answers.write(json.dumps({"forms": agreed_forms(), "version": rdkit.__version__}).encode() + b"\n")
    answers.flush()
    for line in orders:
        compounds = [chemist.compound(word) for word in json.loads(line)]
        read = [compound for compound in compounds if compound is not None]
        head = {
            "read": [compound is not None for compound in compounds],
            "keys": [compound.key for compound in read],
            "groups": [compound.group for compound in read],
            "mended": [compound.mended for compound in read],
        }
        answers.write(json.dumps(head).encode() + b"\n")
        if read:
            answers.write(np.stack([compound.values for compound in read]).tobytes())
        answers.flush()


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):  # whoever asked is gone
        main()
