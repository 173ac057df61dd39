"""Regressions: generalised linear models over all hospitals' rows.

start: counts, and the weighted squares of R's first step --> refusals, the first point
newton: loss, score, information at a point, again and again --> coefficients
robust: squared scores at the last point --> the variance of a sandwich
"""
