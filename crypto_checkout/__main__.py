"""The entry point of `python -m crypto_checkout`, the same program as `crypto-checkout`."""

from crypto_checkout.cli import main

main(prog_name="crypto-checkout")
