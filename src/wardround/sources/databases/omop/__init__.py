"""OMOP CDM 5.4: tables and concepts to events."""
