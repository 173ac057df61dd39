"""Rows and columns: text files, Parquet and workbooks as features of the contract."""
