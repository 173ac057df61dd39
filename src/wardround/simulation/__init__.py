"""What only a simulation has: hospitals on one machine, division of one data set, their ledgers, the demo."""
