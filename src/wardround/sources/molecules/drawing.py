"""A molecule as a picture: SVG, drawn by RDKit in a child process, which a hostile SMILES may end without harm (see `bench`).

SMILES --child: coordinates, MolDraw2DSVG--> SVG of shapes alone: no script, no style, no reference, no text of the SMILES
"""

import importlib.util
import re
import subprocess
import sys
from xml.etree import ElementTree

from wardround.sources.molecules.bench import LONGEST_SMILES, MOST_ATOMS
from wardround.values.errors import DataError, MissingExtraError

WIDTH, HEIGHT = 420, 300
_LIMIT_S = 20.0
_LARGEST = 1 << 20
_SHAPES = frozenset({"svg", "g", "rect", "path", "ellipse", "circle", "line", "polygon", "polyline", "text", "tspan"})
_KEPT = frozenset(
    {
        "d",
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "cx",
        "cy",
        "rx",
        "ry",
        "r",
        "points",
        "width",
        "height",
        "viewBox",
        "fill",
        "fill-rule",
        "fill-opacity",
        "stroke",
        "stroke-width",
        "stroke-opacity",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-dasharray",
        "text-anchor",
        "font-size",
        "font-family",
        "font-weight",
        "opacity",
        "transform",
    }
)
_SAFE = re.compile(r"[A-Za-z0-9 .,#%()+\-]*")
_NAMESPACE = "http://www.w3.org/2000/svg"
_DRAW = """
import sys
from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D
silence = rdBase.BlockLogs()
width, height, most = map(int, sys.argv[1:])
molecule = Chem.MolFromSmiles(sys.stdin.read())
if molecule is None or not 0 < molecule.GetNumAtoms() <= most:
    sys.exit(3)
drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
drawer.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(molecule))
drawer.FinishDrawing()
sys.stdout.write(drawer.GetDrawingText())
"""


def svg_of(smiles: str) -> str:
    """The molecule as SVG of WIDTH x HEIGHT, to stand in a page as it is.

    Raises
    ------
    MissingExtraError
        Without RDKit.
    DataError
        Where RDKit reads no molecule, or takes longer than 20 s. The SMILES is not in it.
    """
    if importlib.util.find_spec("rdkit") is None:
        raise MissingExtraError(
            "Molecules are drawn by RDKit, which is not installed", expected="the package rdkit",
            hint='pip install "wardround[chemistry]"',
        )  # fmt: skip
    word = smiles.strip()
    if not word or len(word) > LONGEST_SMILES or any(sign.isspace() for sign in word):
        raise _unreadable()
    command = [
        sys.executable,
        "-P",
        "-c",
        _DRAW,
        str(WIDTH),
        str(HEIGHT),
        str(MOST_ATOMS),
    ]  # -P: nothing of the folder it runs in
    try:
        drawn = subprocess.run(command, input=word.encode(), capture_output=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise _unreadable() from None
    if drawn.returncode or not drawn.stdout or len(drawn.stdout) > _LARGEST:
        raise _unreadable()
    return _shapes_alone(drawn.stdout.decode())


def _unreadable() -> DataError:
    return DataError("The SMILES is no molecule that RDKit can draw", hint="correct it")


def _shapes_alone(svg: str) -> str:
    """Styles become attributes, since a page forbids styles; what is not known to be a shape is left out."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(svg)
    _clean(root)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element) -> None:
    styled = dict(part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part)
    attributes = {**element.attrib, **{name.strip(): value.strip() for name, value in styled.items()}}
    element.attrib.clear()
    element.attrib.update({name: value for name, value in attributes.items() if name in _KEPT and _SAFE.fullmatch(value)})
    for child in list(element):
        if isinstance(child.tag, str) and child.tag.removeprefix(f"{{{_NAMESPACE}}}") in _SHAPES:
            _clean(child)
        else:
            element.remove(child)
