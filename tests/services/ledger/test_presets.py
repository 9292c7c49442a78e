"""Each preset of checkout.toml on blocks of its chain's own shape: what was paid is found, and nothing else."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from crypto_checkout.app.chains import accepted_chain
from crypto_checkout.config import ChainConfig, example, load
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.services.reporting import config_snippets
from tests.support.chain_shapes import FEES, ONE_COIN, SHAPES, Shape
from tests.support.nodes import running
from tests.support.played_chain import ROUTER, PlayedChain, Sent, transfer
from tests.support.shop import FRESH_XPUB, Shop, open_shop

pytestmark = pytest.mark.anyio

MOST_TRIES = 20
PRICE = 3000


@pytest.fixture(params=config_snippets.presets(), ids=lambda preset: preset.name)
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> ChainConfig:
    text = config_snippets.switched_on(example(), [request.param]).replace('xpub = ""', f'xpub = "{FRESH_XPUB}"')
    path = tmp_path / "checkout.toml"
    path.write_text(text, "utf-8")
    return load(path, {}).chains[0]


async def process(shop: Shop) -> None:
    """Have all blocks processed. What only this chain does is refused at first, and asked for again."""
    for _ in range(MOST_TRIES):
        with suppress(RecoverableError):
            await shop.process()
            return
    await shop.process()


async def test_what_was_paid_on_the_chain_of_a_preset_is_found(chain: ChainConfig, tmp_path: Path) -> None:
    shape = SHAPES[chain.id]
    node = PlayedChain(chain.id, shape.header)
    token = chain.tokens[0]
    units = PRICE * 10**token.decimals
    async with (
        running(node.behaviour()) as served,
        open_shop(tmp_path, [served.url], xpub=FRESH_XPUB, accepted=accepted_chain(chain)) as shop,
    ):
        coin, by_contract, reverted, bridged = [await shop.ask() for _ in range(4)]
        in_token, synced, in_false_token = [await shop.ask(asset=token.symbol) for _ in range(3)]
        to_token = transfer(token.address, in_token["address"], units)
        node.add(
            [
                *(own_receipt(each, shape) for each in shape.transactions(bridged["address"].lower())),
                Sent(to=coin["address"].lower(), value=ONE_COIN, more=FEES),
                Sent(to=token.address, more=FEES, logs=[replace(to_token, index=1) if shape.has_syncs else to_token]),
                Sent(to=ROUTER, more=FEES),  # which sends coins on: no transaction names the receiver
                Sent(to=reverted["address"].lower(), value=ONE_COIN, more=FEES, succeeded=False),
                Sent(to=token.address, more=FEES, succeeded=False),
                Sent(to=ROUTER, more=FEES, logs=[transfer(ROUTER, in_false_token["address"], units)]),
            ],
            credited={by_contract["address"]: ONE_COIN},
            loose=[*shape.loose, *([transfer(token.address, synced["address"], units, index=1)] * shape.has_syncs)],
        )
        # What a contract paid counts once it was read again with a later block there.
        for blocks in (chain.confirmations, 1):
            await process(shop)
            for _ in range(blocks):
                node.add([])
        await process(shop)

        paid = {
            "native": [coin, *([bridged] * shape.pays_bridged)],
            "internal": [by_contract],
            "token": [in_token, *([synced] * shape.has_syncs)],
        }
        for kind, sessions in paid.items():
            for session in sessions:
                now = await shop.look(session)
                assert [(each["kind"], each["counted"]) for each in now["payments"]] == [(kind, True)], kind
                assert now["status"] == "paid"
        rest = [bridged] * (not shape.pays_bridged) + [synced] * (not shape.has_syncs)
        for session in (reverted, in_false_token, *rest):
            now = await shop.look(session)
            assert (now["status"], now["payments"]) == ("pending", [])


def own_receipt(sent: Sent, shape: Shape) -> Sent:
    """Give a transaction's receipt the fields that each has on the chain."""
    return replace(sent, receipt={**shape.receipt, **sent.receipt})
