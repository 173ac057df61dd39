"""FHIR R4 bulk exports: lines and resources to events."""
