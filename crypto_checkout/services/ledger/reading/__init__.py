"""Reading the chain after its last processed block, no more of it than the evidence needs."""
