"""A hospital as a service: joining, data sets, policy, approvals, its log, and what it answers to the hub."""
