"""The same federated training job, written for each simulator that a user could choose instead of Wardround."""
