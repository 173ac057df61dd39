"""Training and evaluation at one site: networks, the local loop, scores and the sums that describe them.

Importing this package, `score_sums`, `metrics` or `evaluation` loads no torch; the other modules are torch's one home.
"""
