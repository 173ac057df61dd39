"""Databases: OMOP in CSV, SQLite or PostgreSQL, and FHIR exports, become the rows of a table by the cohort of a study."""
