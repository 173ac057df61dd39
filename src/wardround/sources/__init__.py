"""Where records come from: npz, image folders and zips, DICOM, tables, and a drawn default; checked against the study's
contract, split by patient."""

from wardround.sources.datasets.named import Dataset, load_dataset
from wardround.sources.opening import FileSource, Source, open_source

__all__ = ["Dataset", "FileSource", "Source", "load_dataset", "open_source"]
