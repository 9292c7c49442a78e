"""`python -m crypto_checkout` is the same as `crypto-checkout`."""

from crypto_checkout.cli import main

main(prog_name="crypto-checkout")
