"""Whether a hospital's data are ready for a study, in plain words."""
