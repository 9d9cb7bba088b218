"""One actor is the VTN of one domain and a VEN in another, in one process (62746-3, 3.1.3 and 4.3)."""

import asyncio
from collections.abc import Callable

import pytest

from iec62746 import Domain, InvalidAddress, Message, Result, VirtualEndNode, VirtualTopNode

MakeDomain = Callable[..., Domain]
PRICE = '<Price xmlns="urn:test">90</Price>'


@pytest.mark.requirement("R-3.1.3b")
@pytest.mark.requirement("R-4.3a")
async def test_an_aggregator_passes_on_a_price_with_its_own_margin(domain: MakeDomain, url: str) -> None:
    market, homes = domain("market"), domain("homes")
    operator = VirtualTopNode(market, url)
    below, above = VirtualTopNode(homes, url), VirtualEndNode(market, url, "ven-1")
    home, got = VirtualEndNode(homes, url, "ven-2"), asyncio.Queue[Message]()
    home.on_event(node="price.north")(got.put)
    up = asyncio.Queue[Message]()
    operator.on_event(noun="MeterReadings")(up.put)

    @above.on_event(node="price.north")
    async def price(event: Message) -> None:
        assert event.payload is not None
        await below.publish("MarketPrices", event.payload.xml.replace(b"90", b"95"), node="price.north")

    @below.on_event(noun="MeterReadings")
    async def reading(event: Message) -> None:
        await above.publish("MeterReadings", '<Sum xmlns="urn:test"/>')

    async with operator, below, above, home:
        await operator.publish("MarketPrices", PRICE, node="price.north")
        event = await got.get()
        await home.publish("MeterReadings", '<One xmlns="urn:test"/>')
        total = await up.get()

    assert event.payload is not None
    assert total.payload is not None
    assert ("operator", PRICE.encode().replace(b"90", b"95")) == (event.source, event.payload.xml)
    assert ("ven-1", b"Sum") == (total.source, total.payload.xml[1:4])


@pytest.mark.requirement("R-4.3a")
async def test_a_request_in_one_domain_is_carried_out_by_a_request_in_another(domain: MakeDomain, url: str) -> None:
    market, homes = domain("market"), domain("homes")
    operator, below = VirtualTopNode(market, url), VirtualTopNode(homes, url)
    above, home = VirtualEndNode(market, url, "ven-1"), VirtualEndNode(homes, url, "ven-2")
    done = list[str]()

    @above.on_request("create", "EndDeviceControls")
    async def control(request: Message) -> None:
        await below.request("create", "EndDeviceControls", to="ven-2")

    home.on_request("create", "EndDeviceControls")(lambda request: done.append(request.source or ""))

    async with operator, below, above, home:
        reply = await operator.request("create", "EndDeviceControls", to="ven-1")

    assert (Result.OK, ["operator"]) == (reply.result, done)


@pytest.mark.requirement("R-4.4c")
async def test_one_ven_in_two_domains_has_an_account_in_each_and_they_do_not_mix(domain: MakeDomain, url: str) -> None:
    text = {"north": "ven-n", "south": "ven-s"}
    domains = {
        name: Domain.parse(
            f'[domain]\nname = "{name}"\nvtn = "operator"\n[nodes.price]\nnouns = ["MarketPrices"]\n'
            f'[roles.home]\nsubscribe = ["price"]\n[parties.ven]\nroles = ["home"]\naccount = "{account}"\n'
        )
        for name, account in text.items()
    }
    vtns = {name: VirtualTopNode(one, url) for name, one in domains.items()}
    vens = {name: VirtualEndNode(one, url) for name, one in domains.items()}
    got: dict[str, asyncio.Queue[Message]] = {name: asyncio.Queue() for name in domains}
    for name, ven in vens.items():
        ven.on_event(node="price")(got[name].put)

    async with vtns["north"], vtns["south"], vens["north"], vens["south"]:
        await vtns["south"].publish("MarketPrices", PRICE, node="price")
        event = await got["south"].get()
        await vtns["north"].publish("MarketPrices", PRICE, node="price")
        await got["north"].get()

    assert "price" == event.destination
    assert got["north"].empty()
    assert got["south"].empty()
    assert ["ven-n", "ven-s"] == [one.domain.party("ven").account for one in vens.values()]


async def test_a_domain_with_several_vens_wants_to_know_which(domain: MakeDomain, url: str) -> None:
    with pytest.raises(InvalidAddress, match="2 VENs: say which one"):
        VirtualEndNode(domain(), url)
