"""Files of a hospital as they lie: one walk of folders and zips, and one account of what is read."""
