"""A molecule is drawn at the site, of shapes alone, whatever its SMILES holds."""

import re
from xml.etree import ElementTree

import pytest

from wardround.sources.molecules.drawing import svg_of
from wardround.values.errors import DataError, MissingExtraError

pytest.importorskip("rdkit")


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "[Na+].[Cl-]"])
def test_a_molecule_is_shapes_and_nothing_else(smiles: str) -> None:
    """The picture stands inside a page of the clinic: a script or a style in it would run there, or be refused."""
    svg = svg_of(smiles)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(list(root.iter())) > 2
    assert not re.search(r"style=|script|href|\son[a-z]+=|url\(|<!|<\?|xmlns:|class=", svg)
    assert smiles not in svg


@pytest.mark.parametrize("smiles", ["", "benzol", "C C", "C" * 3000, "(" * 1900, "CCO\nCCC"])
def test_what_is_no_molecule_is_refused_without_being_told(smiles: str) -> None:
    """A SMILES is a partner's secret, and a broken one ends a child at most."""
    with pytest.raises(DataError, match="no molecule that RDKit can draw") as refusal:
        svg_of(smiles)
    assert not smiles or smiles not in str(refusal.value)


def test_without_rdkit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clinic of tables needs no chemistry."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match="chemistry"):
        svg_of("CCO")
