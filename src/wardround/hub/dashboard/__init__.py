"""The hub's page for the people who run it: studies, rounds, hospitals, live; and the few buttons that they need."""
