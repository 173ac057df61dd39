"""The app in which a hospital's doctors use a model: tested there first, in service until it is taken back, without torch."""
