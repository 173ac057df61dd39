"""What a kind of question other than yes or no says at the bedside: one file a kind, and one object that the clinic asks.

    file's outputs --Kind.outputs--> outputs --Kind.corrected, by a Correction--> outputs that are true here --Kind.said--> Said
    the hospital's own cases --Kind.correcting, folds of patients--> Correction --Kind.limits--> what may be told

Yes or no has parts of its own, which are older: maps and limits in `tasks.binary`, its figures in `clinic.acceptance.measuring`.
"""
