"""Whether the machine may work hard."""

from __future__ import annotations


def on_mains() -> bool:
    """Return False where the system says that it runs on its battery; True where it does not tell, or has none."""
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is None or battery.power_plugged is not False
