"""Key streams, keys derived from keys, secret draws, signatures, and how many sites open a masked sum."""
