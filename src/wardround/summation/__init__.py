"""How words become a total: state machines, `step(state, event) -> (state, outbox)`. In this release: the plain sum."""
