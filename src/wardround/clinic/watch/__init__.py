"""While a model is used: drift, alerts, metrics, the register, withdrawal, retention, evidence."""
