"""Survival: when patients have an event, from sums over hospitals: curves, tests, hazard ratios, and the worth of predictions."""
