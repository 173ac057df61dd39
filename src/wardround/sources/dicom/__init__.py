"""DICOM: the reader, and a picture as its header describes it."""
