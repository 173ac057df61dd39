"""Hospitals learn together; patients' data stays home."""

__version__ = "0.1.0"
