"""Survival: when patients have an event, from sums over hospitals: curves, tests, hazard ratios, and what predictions are worth."""
