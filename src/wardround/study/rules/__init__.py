"""Rules over several sections of a study."""
