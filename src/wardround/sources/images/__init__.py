"""PNG, JPEG, TIFF and arrays of pixels as images of the contract."""
