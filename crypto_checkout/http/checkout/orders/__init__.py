"""Orders from a payment link whose payer names the amount, or the number of pieces: the form, and its reading."""
