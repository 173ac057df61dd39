"""The sections of a study file, one module each: frozen, strict, every field described."""
