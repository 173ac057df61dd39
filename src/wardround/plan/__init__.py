"""What follows from a study, at both ends: the model's names, the frame of every sum, the price. Derived, never sent."""
