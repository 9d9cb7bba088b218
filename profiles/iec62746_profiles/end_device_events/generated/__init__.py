from .end_device_events import (
    Asset,
    EndDeviceEvent,
    EndDeviceEventDetail,
    EndDeviceEvents,
    EventTypeReference,
    Name,
    NameType,
    NameTypeAuthority,
    Status,
    UsagePoint,
)

__all__ = [
    "Asset",
    "EndDeviceEvent",
    "EndDeviceEventDetail",
    "EndDeviceEvents",
    "EventTypeReference",
    "Name",
    "NameType",
    "NameTypeAuthority",
    "Status",
    "UsagePoint",
]
