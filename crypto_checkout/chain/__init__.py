"""EVM chains and the simulated one. The only room that imports web3 and the elliptic curve."""
