"""Analyses: the numbers of a paper as sums over hospitals, equal to the pooled analysis.

study --registry--> Analysis: Exchange(label, times, bounds), ...   what is summed, from the study alone
Ask(label, order) --contribution(rows, ask)--> arrays --the masked sum--> Total --coordinate--> the next Ask, or the Result
"""
