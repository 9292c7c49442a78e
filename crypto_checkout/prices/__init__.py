"""What a coin costs: one module per source, and the board that takes their median. No database here."""
