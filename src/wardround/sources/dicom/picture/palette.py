"""PALETTE COLOR: each stored value names a colour in three tables (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.picture.fields import PixelFields, value_of
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal
from wardround.sources.dicom.picture.lookup import looked_up, read_table

_COLOURS = ("Red", "Green", "Blue")


def coloured(dataset: Any, fields: PixelFields, stored: NDArray[Any]) -> tuple[NDArray[Any], list[HeaderFinding]]:
    """(height, width, 3): uint8 where the tables hold 8 bits, else uint16 at full scale.

    The three tables share one depth: a picture without blue would else be scaled by what little blue it has.
    """
    tables = []
    for colour in _COLOURS:
        if value_of(dataset, f"Segmented{colour}PaletteColorLookupTableData") is not None:
            raise HeaderRefusal("palette-segmented")
        names = (f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData")
        little_endian = bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)
        tables.append(read_table(dataset, names, fields.range, little_endian)[0])
    depth = max(table.depth for table in tables)
    top, kept = (65535, np.uint16) if depth > 8 else (255, np.uint8)
    planes = [looked_up(table, stored) / (2**depth - 1) * top for table in tables]
    return np.rint(np.stack(planes, axis=2)).astype(kept), []
