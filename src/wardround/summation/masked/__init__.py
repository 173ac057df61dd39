"""The masked sum: state machines of a site and of the coordinator, keys, masks and shares."""
