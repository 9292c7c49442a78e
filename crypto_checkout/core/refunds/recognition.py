"""Decide which transfer on the chain pays a refund. A transfer pays one refund, and never less than its amount.

With a transaction's hash, its transfers are compared with the refund. Without one, only what is beyond doubt counts:
the exact amount, sent by an address of the owner after the approval, and neither a second such transfer nor a second
such refund.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.money import format_units
from crypto_checkout.core.refunds.refund import Refund

TransferKey = tuple[int | None, Address]
"""A transfer within its transaction: the index of its log, None for coins, and its receiver."""


def key(transfer: Transfer) -> TransferKey:
    """Return what tells a transfer apart from the others of its transaction."""
    return transfer.log_index, transfer.to


def paying_transfer(
    refund: Refund, transfers: Iterable[Transfer], taken: Collection[TransferKey] = ()
) -> Transfer | None:
    """Return the transfer of a successful transaction that pays a refund; None if none does.

    `taken` are those that pay other refunds. Of several the one nearest to the amount is chosen.
    """
    paying = [each for each in transfers if _goes_to(refund, each) and each.units >= refund.units]
    free = [each for each in paying if key(each) not in taken]
    return min(free, key=lambda each: (each.units, each.log_index or 0), default=None)


def objection(refund: Refund, transfers: Sequence[Transfer], taken: Collection[TransferKey] = ()) -> str | None:
    """Return why a successful transaction doesn't pay a refund, in a sentence; None if it does."""
    if paying_transfer(refund, transfers, taken) is not None:
        return None
    asset, destination = refund.asset, "" if refund.destination is None else checksum(refund.destination)
    in_asset = [each for each in transfers if each.contract == asset.contract]
    to_payer = [each for each in in_asset if each.to == refund.destination]
    if not in_asset:
        return f"it moves no {asset.symbol}"
    if not to_payer:
        return f"it sends no {asset.symbol} to {destination}"
    most = max(each.units for each in to_payer)
    if most < refund.units:
        sent, wanted = (format_units(units, asset.decimals) for units in (most, refund.units))
        return f"it sends {sent} {asset.symbol} to {destination}, and {wanted} are to be paid"
    return "its transfer pays another refund already"


def unambiguous(
    refunds: Sequence[Refund], transfers: Sequence[Transfer], senders: Collection[Address]
) -> list[tuple[Refund, Transfer]]:
    """Return the refunds without a hash that transfers pay beyond doubt, each with its transfer."""
    pairs = [
        (refund, transfer)
        for refund in refunds
        for transfer in transfers
        if transfer.sender in senders
        and _goes_to(refund, transfer)
        and transfer.units == refund.units
        and transfer.block_number > (refund.searched_from or 0)
    ]
    of_refund = Counter(refund.id for refund, _ in pairs)
    of_transfer = Counter((transfer.tx_hash, key(transfer)) for _, transfer in pairs)
    return [
        (refund, transfer)
        for refund, transfer in pairs
        if of_refund[refund.id] == 1 and of_transfer[transfer.tx_hash, key(transfer)] == 1
    ]


def _goes_to(refund: Refund, transfer: Transfer) -> bool:
    return transfer.contract == refund.asset.contract and transfer.to == refund.destination
