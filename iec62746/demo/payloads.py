"""The payloads of the demo, by hand: small documents in namespaces of their own (62746-3, 5.3)."""

_CONTROLS = "http://iec.ch/TC57/2011/EndDeviceControls#"
_READINGS = "http://iec.ch/TC57/2011/MeterReadings#"
_EVENTS = "http://iec.ch/TC57/2011/EndDeviceEvents#"
_PRICES = "urn:iec62746:demo:MarketPrices"
_GROUPS = "urn:iec62746:demo:DERGroups"


def price(euro_per_mwh: float) -> str:
    """Return a price for the next hour."""
    return (
        f'<MarketPrices xmlns="{_PRICES}"><price unit="EUR/MWh">{euro_per_mwh:.2f}</price>'
        "<hours>1</hours></MarketPrices>"
    )


def control(device: str, level: int) -> str:
    """Return a demand response event for `device`: reduce by `level`, 0 to 15."""
    return (
        f'<EndDeviceControls xmlns="{_CONTROLS}"><EndDeviceControl><mRID>control-1</mRID>'
        f'<drProgramLevel>{level}</drProgramLevel><EndDeviceControlType ref="3.8.6.28"/>'
        f"<EndDevices><mRID>{device}</mRID></EndDevices></EndDeviceControl></EndDeviceControls>"
    )


def reading(device: str, kilowatt: float) -> str:
    """Return one reading of `device`: positive consumes, negative generates (62746-3, 3.1.16)."""
    return (
        f'<MeterReadings xmlns="{_READINGS}"><MeterReading><Meter><mRID>{device}</mRID></Meter>'
        f'<Readings><value>{kilowatt:.1f}</value><ReadingType ref="0.0.0.12.0.1.37.0.0.0.0.0.0.0.0.3.38.0"/></Readings>'
        "</MeterReading></MeterReadings>"
    )


def event(device: str, reason: str) -> str:
    """Return an event of `device`."""
    return (
        f'<EndDeviceEvents xmlns="{_EVENTS}"><EndDeviceEvent><mRID>{device}</mRID><reason>{reason}</reason>'
        "</EndDeviceEvent></EndDeviceEvents>"
    )


def group(name: str, load: float, generation: float) -> str:
    """Return what the virtual resource `name` can offer, in kilowatt (62746-3, 3.1.16)."""
    return (
        f'<DERGroups xmlns="{_GROUPS}"><DERGroup><mRID>{name}</mRID><load>{load}</load>'
        f"<generation>{generation}</generation></DERGroup></DERGroups>"
    )
