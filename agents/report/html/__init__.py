"""The report as one HTML page: its sections, its figures, and how text becomes safe markup."""
