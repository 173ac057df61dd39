"""One DICOM picture: its header, checked against the bits that it describes, and what a radiologist's screen would show of it."""
