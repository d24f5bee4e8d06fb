"""Say which files are not as they were written, and how to mend them; nothing here mends."""
