"""The clinic's folder: settings, keys, criteria, acceptance records, and the chained log of what is in service."""
