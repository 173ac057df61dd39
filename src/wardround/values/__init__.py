"""Values every room shares: named arrays, ids, canonical bytes, fixed-point numbers, durable files. Floor 0."""
