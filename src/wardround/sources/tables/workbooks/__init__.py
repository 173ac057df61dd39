"""What the library that reads workbooks does not tell of a sheet, by the kind of its file."""
