"""The [analysis] section: which numbers a study asks for in place of a model."""
