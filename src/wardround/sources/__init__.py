"""Where records come from: images, DICOM, tables, and a drawn default; checks of what was found. Floor 2."""
