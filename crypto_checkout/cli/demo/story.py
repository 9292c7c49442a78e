"""The demo's story: a merchant makes a payment link, a payer pays, the chain confirms, and a webhook notifies the shop.

Each step works as in a real shop: over HTTP, JSON-RPC and the command line only.
"""

from crypto_checkout.cli.demo.shop import CONFIRMATIONS, DemoShop
from crypto_checkout.cli.demo.stage import Stage, StepFailed
from crypto_checkout.client import AmountResource, SessionResource

from .node import CHAIN_ID, Node
from .receiver import Receiver
from .timeline import Timeline

_TITLE, _AMOUNT, _CURRENCY = "Coffee beans, 1 kg", "30.00", "USD"
_EVENTS = ["session.created", "session.detected", "session.paid"]


def tell(timeline: Timeline, stage: Stage, anvil: str) -> None:
    """Run the story; it succeeded if this returns. Raises StepFailed, OSError and the client's errors."""
    node = _start_chain(timeline, stage, anvil)
    shop = _start_server(timeline, stage, node)
    receiver = _make_endpoint(timeline, stage, shop)
    session = _make_session(timeline, shop)
    _receive(timeline, receiver, "session.created")
    _pay(timeline, node, session)
    _be_detected(timeline, node, shop, session)
    _receive(timeline, receiver, "session.detected")
    _be_paid(timeline, node, shop, session)
    notified = _receive(timeline, receiver, "session.paid")
    if notified != shop.session(session["id"]):
        raise StepFailed("The webhook's session differs from the API's.")


def _start_chain(timeline: Timeline, stage: Stage, anvil: str) -> Node:
    with timeline.step("chain started") as step:
        node = Node(stage, anvil)
        step.tell(f"anvil, chain {CHAIN_ID}, at {node.url}", chainId=CHAIN_ID, url=node.url)
        return node


def _start_server(timeline: Timeline, stage: Stage, node: Node) -> DemoShop:
    with timeline.step("server started") as step:
        shop = DemoShop(stage, node.url)
        step.tell(shop.url, url=shop.url)
        return shop


def _make_endpoint(timeline: Timeline, stage: Stage, shop: DemoShop) -> Receiver:
    with timeline.step("endpoint created") as step:
        receiver = stage.enter(Receiver())
        endpoint = shop.make_endpoint(receiver.url, _EVENTS)
        receiver.secret = endpoint["secret"]
        step.tell(receiver.url, id=endpoint["id"], url=receiver.url)
        return receiver


def _make_session(timeline: Timeline, shop: DemoShop) -> SessionResource:
    with timeline.step("link created") as step:
        link = shop.make_link(_TITLE, _AMOUNT, _CURRENCY)
        price = f"{link['fiatAmount']} {link['fiatCurrency']}"
        step.tell(f"{link['title']}: {price}", link["checkoutUrl"], id=link["id"], url=link["checkoutUrl"])
    with timeline.step("session created") as step:
        session = shop.make_session(link["id"])
        amount, address = _coins(session["amount"]), session["address"]
        step.tell(f"{amount} ({price})", f"to {address}", id=session["id"], amount=amount, address=address)
        return session


def _pay(timeline: Timeline, node: Node, session: SessionResource) -> None:
    with timeline.step("transaction sent") as step:
        tx_hash = node.pay(session["address"], int(session["amount"]["units"]))
        step.tell(f"{tx_hash[:18]}…{tx_hash[-8:]}", txHash=tx_hash)


def _be_detected(timeline: Timeline, node: Node, shop: DemoShop, session: SessionResource) -> None:
    with timeline.step("detected") as step:
        block = node.mine()
        now = shop.wait_for(session["id"], lambda session: session["status"] == "detected")
        amount = _coins(now["amountReceived"])
        step.tell(f"{amount} in block {block}", txHash=now["txHash"], blockNumber=block, amount=amount)


def _be_paid(timeline: Timeline, node: Node, shop: DemoShop, session: SessionResource) -> None:
    for depth in range(1, CONFIRMATIONS + 1):
        with timeline.step("confirmed") as step:
            _deepen(node, shop, session, depth)
            step.tell(f"{depth} of {CONFIRMATIONS}", confirmations=depth)
    with timeline.step("paid") as step:
        now = shop.wait_for(session["id"], lambda session: session["status"] == "paid")
        step.tell(f"{_coins(now['amountReceived'])}, {now['fiat']['amount']} {now['fiat']['currency']}", id=now["id"])


def _deepen(node: Node, shop: DemoShop, session: SessionResource, depth: int) -> None:
    """Mine until the payment has this many confirmations; its own block is the first."""
    if depth > 1:
        node.mine()
    shop.wait_for(session["id"], lambda session: session["confirmations"] >= depth)


def _receive(timeline: Timeline, receiver: Receiver, event_type: str) -> SessionResource:
    """Wait for a webhook and return its session."""
    with timeline.step("webhook received") as step:
        delivery = receiver.next()
        event = delivery.event
        if delivery.flaw is not None:
            raise StepFailed(f"The signature of {event['type']} is wrong: {delivery.flaw}.")
        if event["type"] != event_type:
            raise StepFailed(f"The webhook is a {event['type']}, not a {event_type}.")
        step.tell(f"{event_type}, signature valid", event["id"], id=event["id"], type=event_type, signatureValid=True)
        session: SessionResource = event["data"]
        return session


def _coins(amount: AmountResource) -> str:
    return f"{amount['value']} {amount['asset']}"
