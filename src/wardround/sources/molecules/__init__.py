"""Molecules: SMILES become fingerprints, compounds and scaffolds at the hospital; no SMILES leaves."""
