"""Drawn chest radiographs of no patient, for the demo and for public statistics."""
