"""Audits of the privacy that a study promises: attacks whose success would disprove it, with the bounds that follow."""
