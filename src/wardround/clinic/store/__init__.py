"""What the clinic keeps of its work, in SQLite or PostgreSQL: people and their sessions, cases, answers, who saw what."""
