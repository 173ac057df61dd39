"""The clinic beside a record system: answers as FHIR R4 resources, records from FHIR bundles, and a CDS Hooks service."""
