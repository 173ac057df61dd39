"""From the events of a database to the records of a cohort."""
