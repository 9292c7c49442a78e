"""The file with which a Safe pays many refunds at once: the format of Safe's app "CSV Airdrop"."""

from collections.abc import Iterable

from crypto_checkout.core.address import checksum
from crypto_checkout.core.money import format_units
from crypto_checkout.core.refunds.refund import Refund

_HEAD = "token_type,token_address,receiver,amount,id"


def safe_csv(refunds: Iterable[Refund]) -> str:
    """Return the file for refunds of one chain, amounts in whole coins. The last column is for NFTs only."""
    return "".join(f"{line}\n" for line in (_HEAD, *(_line(each) for each in refunds)))


def _line(refund: Refund) -> str:
    assert refund.destination is not None, "it is to be paid"
    contract, units = refund.asset.contract, refund.units
    token = "native," if contract is None else f"erc20,{checksum(contract)}"
    return f"{token},{checksum(refund.destination)},{format_units(units, refund.asset.decimals)},"
