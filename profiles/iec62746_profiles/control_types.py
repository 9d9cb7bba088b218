"""The four-part codes of controls and events of end devices (IEC 61968-9, annex on end device events and controls).

Device, domain, sub-domain, event or action. Every code is legal; those that demand response needs have names here.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

_CODE = re.compile(r"(?:0|[1-9][0-9]{0,3})(?:\.(?:0|[1-9][0-9]{0,3})){3}")
_HIGHEST = 9999


class DeviceType(IntEnum):
    """What kind of device; 0 where it does not matter."""

    NOT_APPLICABLE = 0
    DATA_AGGREGATION_POINT = 1
    DEMAND_RESPONSE_DEVICE = 2
    ELECTRIC_METER = 3
    GAS_METER = 4
    GATEWAY = 5
    PAN_GATEWAY = 7
    TRANSFORMER = 8
    COLLECTOR = 10
    NETWORK_ROUTER = 11
    PAN_DEVICE = 12
    FEEDER = 13
    GENERATOR = 14
    LOAD_CONTROL_DEVICE = 16
    PAN_METER = 17
    PREPAYMENT_TERMINAL = 18
    RANGE_EXTENDER = 20
    REGULATOR = 21
    SUBSTATION = 22
    ENERGY_ROUTER = 23
    WATER_METER = 24
    WASTE_WATER_METER = 25
    COM_DEVICE = 26
    ELECTRIC_VEHICLE = 58


class Domain(IntEnum):
    """What part of the device."""

    NOT_APPLICABLE = 0
    COMMUNICATION = 1
    BATTERY = 2
    GAS_SUPPLY = 4
    WATER_SUPPLY = 5
    INSTALLATION = 6
    CONFIGURATION = 7
    DEMAND = 8
    MODULE_FIRMWARE = 9
    PAIRING = 10
    FIRMWARE = 11
    SECURITY = 12
    VIDEO_DISPLAY = 13
    MOBILE_SECURITY = 14
    LOAD_CONTROL = 15
    LOAD_PROFILE = 16
    LOGS = 17
    MEMORY = 18
    MODEM = 19
    BILLING = 20
    METROLOGY = 21
    NETWORK = 23
    POWER = 26
    PRESSURE = 29
    RCD_SWITCH = 31
    TEMPERATURE = 35
    CLOCK = 36
    WATCHDOG = 37
    ASSOCIATED_DEVICE = 39


class SubDomain(IntEnum):
    """What of that part."""

    NOT_APPLICABLE = 0
    ACCESS = 1
    FREQUENCY = 4
    CURRENT = 6
    PRICING = 9
    STATUS = 17
    PHASE = 25
    CONTROL_POINT = 26
    POWER_FACTOR = 27
    POWER_QUALITY = 28
    VOLTAGE = 38
    EVENT = 43
    INTERVAL = 59
    MEASUREMENT = 67
    PROGRAM = 83
    RATE = 86
    RELAY = 91
    SCHEDULE = 95
    SET_POINT = 101
    TEXT_MESSAGE = 112
    TIER = 113
    TIME = 114
    TIME_OF_USE = 121
    EMERGENCY_SUPPLY_CAPACITY_LIMIT = 138
    SUPPLY_CAPACITY_LIMIT = 139
    TARIFF = 140
    ALL_EVENTS = 148
    THRESHOLD = 261


class EventOrAction(IntEnum):
    """What happened, or is to happen."""

    NOT_APPLICABLE = 0
    ACKNOWLEDGED = 3
    ACTIVATED = 4
    ARM_FOR_CLOSURE = 5
    ARM_FOR_OPEN = 6
    CANCEL = 8
    CANCELLED = 10
    CHANGE = 13
    CONFIRMED = 17
    CONNECT = 18
    DEACTIVATED = 19
    DISABLE = 22
    DISCONNECT = 23
    CHANGED = 24
    ENABLE = 26
    CLEARED = 28
    EXECUTE = 30
    IN_PROGRESS = 34
    NORMAL = 37
    CONNECTED = 42
    START = 54
    STOP = 55
    SUCCEEDED = 58
    TERMINATED = 59
    EXPIRED = 64
    DISABLED = 66
    CONNECT_FAILED = 67
    DISCONNECTED = 68
    ENABLED = 76
    CREATE = 82
    CREATED = 83
    DISCONNECT_FAILED = 84
    FAILED = 85
    CANCEL_FAILED = 86
    MAX_LIMIT_REACHED = 93
    EXCEEDED = 139
    MIN_LIMIT_REACHED = 150
    RESTORED = 216
    START_FAILED = 217
    STOP_FAILED = 218
    SCHEDULED = 225
    STARTED = 242
    STOPPED = 243
    EVENT_STARTED = 287
    EVENT_STOPPED = 288
    SCHEDULE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceControlType:
    """A code such as 3.15.0.30, by its parts; raises `ValueError` unless each is from 0 to 9999."""

    device_type: int = DeviceType.NOT_APPLICABLE
    domain: int = Domain.NOT_APPLICABLE
    sub_domain: int = SubDomain.NOT_APPLICABLE
    event_or_action: int = EventOrAction.NOT_APPLICABLE

    def __post_init__(self) -> None:
        """Check each part."""
        for part in self._parts:
            if not 0 <= part <= _HIGHEST:
                raise ValueError(f"{part} is no part of a control type: it is from 0 to {_HIGHEST}")

    @classmethod
    def parse(cls, code: str) -> "EndDeviceControlType":
        """Return what `code` says; raises `ValueError`."""
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no control type: write four numbers, like 3.15.0.30")
        device_type, domain, sub_domain, event_or_action = map(int, code.split("."))
        return cls(device_type=device_type, domain=domain, sub_domain=sub_domain, event_or_action=event_or_action)

    @property
    def _parts(self) -> tuple[int, int, int, int]:
        return self.device_type, self.domain, self.sub_domain, self.event_or_action

    @property
    def names(self) -> tuple[str, str, str, str]:
        """What each part is called; its number, where it has no name here."""
        device_type, domain, sub_domain, event_or_action = self._parts
        return (
            _name(DeviceType, device_type),
            _name(Domain, domain),
            _name(SubDomain, sub_domain),
            _name(EventOrAction, event_or_action),
        )

    def __str__(self) -> str:
        """Return the code, as `ref` takes it."""
        return ".".join(str(int(part)) for part in self._parts)


EndDeviceEventType = EndDeviceControlType
"""Events have codes of the same form and the same lists."""


def _name(codes: type[IntEnum], code: int) -> str:
    try:
        return codes(code).name
    except ValueError:
        return str(code)
