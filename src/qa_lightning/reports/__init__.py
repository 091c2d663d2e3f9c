"""What a run leaves to be read: score files, tables, plots, the audit."""
