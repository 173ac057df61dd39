"""A hospital: it owns its records, memory, ledger and log, and answers orders with contributions or a refusal."""
