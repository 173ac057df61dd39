"""Evidence: what a run record shows, in a form that people read: `report.html` and `model_card.md`.

    RunRecord --> wording  (figures and candid sentences) --+
              --> curves   (points of ROC and calibration)  +--> report.py, model_card.py
              --> charts   (inline SVG; matplotlib's home) --+

Pure functions of the record: the same record gives the same bytes, and what it does not know is shown as a blank.
"""
