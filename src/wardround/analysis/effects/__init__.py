"""What treatments do, on average and for single patients, from sums over hospitals.

    rows --columns--> design, arm, outcome, fold --steps--> Findings --telling--> tables, charts, sentences

`steps` says which sum follows from which. A file knows one idea: what a hospital adds, and what the total says.
"""
