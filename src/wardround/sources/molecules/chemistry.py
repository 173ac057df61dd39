"""One molecule by RDKit: its parent compound, scaffold, fingerprint and descriptors. Runs in a child process (`bench`).

    SMILES --atoms in canonical order, no stereo, no isotopes--> metals apart --> largest part --> usual groups --> no charge
           = parent compound --> key (hash of its canonical SMILES)         --Bemis and Murcko 1996--> scaffold --> its hash
                             `-> Morgan fingerprint (Rogers and Hahn 2010), 8 descriptors

The parent is written down and read again before anything is made of it, so that all ways to write a molecule, and all salts of
it, give the same bits and the same fold at every hospital. Stereo isomers are one compound: their bits are the same.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.MolStandardize import rdMolStandardize

from wardround.study.sections.molecule import DESCRIPTORS, MoleculeContract

_KEY_DIGITS = 32
_FARTHEST = 10.0


@dataclass(frozen=True)
class Compound:
    """key: of the parent compound. group: of its scaffold; the key where it has no ring, since all chains together are no
    family. mended: whether salts or charges were taken off. values: (length,) uint8, or float32 with descriptors."""

    key: str
    group: str
    mended: bool
    values: NDArray[Any]


class Chemist:
    """Makes compounds of SMILES, silently."""

    def __init__(self, rules: MoleculeContract, most_atoms: int = 1000) -> None:
        self._rules, self._most_atoms = rules, most_atoms
        self._silence = rdBase.BlockLogs()
        self._generator = rdFingerprintGenerator.GetMorganGenerator(radius=rules.radius, fpSize=rules.bits)
        largest = rdMolStandardize.LargestFragmentChooser(preferOrganic=True)
        self._steps = (
            rdMolStandardize.MetalDisconnector().Disconnect,
            largest.choose,
            rdMolStandardize.Normalizer().normalize,
            rdMolStandardize.Uncharger().uncharge,
        )

    def compound(self, smiles: str) -> Compound | None:
        """None where the text is no molecule, or one of more atoms than are read."""
        written = _read(smiles)
        if written is None or not 0 < written.GetNumAtoms() <= self._most_atoms or _is_open(written):
            return None
        plain = _plain(written)
        parent = self._parent(plain)
        molecule = _read(parent)
        if molecule is None:
            return None
        key = _hashed("compound", parent)
        scaffold = Chem.MolToSmiles(Chem.MurckoDecompose(molecule), isomericSmiles=False)
        return Compound(key, _hashed("scaffold", scaffold) if scaffold else key, parent != plain, self._values(molecule))

    def _parent(self, plain: str) -> str:
        """Canonical SMILES of the parent. A step whose result is no molecule that can be read again is as if not taken: ions of
        organometallic compounds have no uncharged form."""
        parent = plain
        molecule = _read(plain)
        for step in self._steps:
            try:
                stepped = step(molecule)
                text = _plain(stepped)
            except Exception:  # noqa: BLE001  # RDKit's errors share no base but Exception
                continue
            if _read(text) is not None:
                molecule, parent = stepped, text
        return parent

    def _values(self, molecule: Chem.Mol) -> NDArray[Any]:
        counts = np.minimum(self._generator.GetCountFingerprintAsNumPy(molecule), 255).astype(np.uint8)
        values = counts if self._rules.values == "counts" else (counts > 0).astype(np.uint8)
        return values if not self._rules.descriptors else np.concatenate([values.astype(np.float32), _described(molecule)])


def _read(smiles: str) -> Chem.Mol | None:
    """None where RDKit reads no molecule. A word behind a space would be taken for a name, and be forgotten."""
    if not smiles or any(sign.isspace() for sign in smiles):
        return None
    try:
        return Chem.MolFromSmiles(smiles)
    except Exception:  # noqa: BLE001  # RDKit's errors share no base but Exception
        return None


def _is_open(molecule: Chem.Mol) -> bool:
    """Whether an atom is left open (*): a pattern, no molecule."""
    return any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms())


def _plain(molecule: Chem.Mol) -> str:
    """Canonical SMILES without stereo, isotopes and numbers of atoms."""
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(0)
    return str(Chem.MolToSmiles(molecule, isomericSmiles=False))


def _hashed(kind: str, smiles: str) -> str:
    digest = hashlib.sha256(b"\0".join((kind.encode(), smiles.encode()))).hexdigest()
    return f"{kind}-{digest[:_KEY_DIGITS]}"


def _described(molecule: Chem.Mol) -> NDArray[np.float32]:
    """The descriptors (8,) on their public scales; one that cannot be computed is 0, the centre."""
    measured = (
        rdMolDescriptors._CalcMolWt(molecule),
        rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
        rdMolDescriptors.CalcTPSA(molecule),
        rdMolDescriptors.CalcNumHBD(molecule),
        rdMolDescriptors.CalcNumHBA(molecule),
        rdMolDescriptors.CalcNumRotatableBonds(molecule),
        rdMolDescriptors.CalcNumRings(molecule),
        rdMolDescriptors.CalcFractionCSP3(molecule),
    )
    scaled = [(value - centre) / scale for value, (_, centre, scale) in zip(measured, DESCRIPTORS, strict=True)]
    return np.clip(np.nan_to_num(np.array(scaled, np.float64), nan=0.0), -_FARTHEST, _FARTHEST).astype(np.float32)


def agreed_forms() -> str:
    """A hash of what this RDKit makes of a dozen molecules that are written in every way it could change."""
    rules = MoleculeContract(values="counts", descriptors=True, radius=3)
    chemist, digest = Chemist(rules), hashlib.sha256()
    for smiles in _AGREED:
        compound = chemist.compound(smiles)
        assert compound is not None, smiles
        fingerprint = compound.values[: rules.bits].astype(np.uint8).tobytes()
        rounded = " ".join(f"{value:.3f}" for value in compound.values[rules.bits :])
        digest.update(f"{compound.key} {compound.group} {rounded}".encode() + fingerprint)
    return digest.hexdigest()


_AGREED = (
    "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]",
    "C[C@H](N)C(=O)O",
    "O=[N+]([O-])c1ccc2[nH]ccc2c1",
    "CN1CCC[C@H]1c1cccnc1.Cl",
    "OC1=NC=NC2=C1NC=N2",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "CCCCCCCC/C=C\\CCCCCCCC(=O)O[K]",
    "C1CC2CCC1C2",
    "c1ccc2c(c1)[se]c1ccccc12",
    "CS(=O)(=O)c1ccc(cc1)-n1nccc1",
    "[O-][n+]1ccccc1",
    "C1CCC2(CC1)OCCO2",
    "N[Pt](N)(Cl)Cl",
    "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
)
