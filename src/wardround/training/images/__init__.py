"""What is done to images: reading rows, changing them at random, simulating other scanners."""
