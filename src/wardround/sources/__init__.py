"""Where records come from: npz, image folders and zips, DICOM, tables; checked against the study's contract, split by patient."""
