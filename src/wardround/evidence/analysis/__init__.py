"""What an analysis found, as a terminal, a page, a spreadsheet and a program read it."""
