"""What happens to a contribution between the algorithm and the sum: bound, encode, noise. In this release: no noise."""
