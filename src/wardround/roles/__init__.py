"""The two roles of a run: the coordinator, who asks and adds, and the site, which owns its data and answers."""
