"""The [data.molecule] section: how a molecule becomes numbers, and which molecules share a fold."""

from typing import Literal

from pydantic import Field

from wardround.study.sections.section import Section

DESCRIPTORS = (
    ("molecular weight", 300.0, 150.0),
    ("logarithm of the octanol-water partition (Crippen)", 2.5, 2.0),
    ("polar surface area", 60.0, 50.0),
    ("hydrogen bond donors", 1.0, 2.0),
    ("hydrogen bond acceptors", 4.0, 3.0),
    ("rotatable bonds", 4.0, 4.0),
    ("rings", 2.0, 1.5),
    ("share of carbons without a double bond", 0.4, 0.3),
)
"""Each with its public centre and scale: x becomes (x - centre) / scale, held within -10 and 10."""


class MoleculeContract(Section):
    """Molecules: the column with their SMILES, and the fingerprint that each hospital makes of them."""

    column: str = Field(default="smiles", min_length=1, description="The column that holds the molecule as SMILES.")
    radius: Literal[2, 3] = Field(
        default=2, description="How many bonds from an atom a substructure of the fingerprint reaches: 2 (ECFP4) or 3 (ECFP6)."
    )
    bits: Literal[2048, 4096, 8192, 16384, 32768] = Field(
        default=2048, description="Length of the fingerprint. Substructures share a place by a hash; longer ones share fewer."
    )
    values: Literal["bits", "counts"] = Field(
        default="bits", description="bits: whether a substructure is there. counts: how often, up to 255."
    )
    descriptors: bool = Field(
        default=False,
        description="Also the 8 descriptors molecular weight, Crippen's log P, polar surface, hydrogen bond donors and "
        "acceptors, rotatable bonds, rings and saturation, each scaled by public constants.",
    )
    folds: Literal["scaffold", "compound"] = Field(
        default="scaffold",
        description="What is kept in one of train, validation and test: all compounds of a Bemis-Murcko scaffold (a compound "
        "without rings by itself), or a compound alone, which flatters.",
    )
    unreadable: Literal["refuse", "leave_out"] = Field(
        default="refuse",
        description="What a SMILES that is no molecule means: the source is refused, or its row is left out and told.",
    )

    @property
    def length(self) -> int:
        """Numbers for one molecule."""
        return self.bits + (len(DESCRIPTORS) if self.descriptors else 0)
