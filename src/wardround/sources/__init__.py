"""Where records come from: npz, image folders and zips, DICOM, tables, and a drawn default; checked against the study's
contract, split by patient, or prepared one at a time."""

from wardround.sources.datasets.named import Dataset, load_dataset
from wardround.sources.made_records import NamedRecords
from wardround.sources.opening import FileSource, Source, open_source
from wardround.sources.preparing import network_input, prepare

__all__ = ["Dataset", "FileSource", "NamedRecords", "Source", "load_dataset", "network_input", "open_source", "prepare"]
