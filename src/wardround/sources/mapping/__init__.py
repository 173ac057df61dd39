"""A hospital's own mapping: how its columns, codes, units and dates become the contract's. It stays at the hospital."""

from wardround.sources.mapping.sections import HospitalMapping, load_mapping

__all__ = ["HospitalMapping", "load_mapping"]
