"""Descriptions: Table 1 and what goes with it, from one sum of counts and of two moments.

counts: histograms, categories, moments, cross-tables, each by group --disclosure rules--> tables
"""
