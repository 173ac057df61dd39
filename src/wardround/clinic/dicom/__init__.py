"""The clinic beside a PACS: films come in by C-STORE and DICOMweb, answers go back as structured reports and pictures."""
