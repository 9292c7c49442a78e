"""Write a number of bytes for people: the same everywhere, in decimal units, as disks are sold."""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_FEW = 10


def size(number: float) -> str:
    """Write a number of bytes: `41 MB`, `3.1 GB`."""
    for unit, name in _UNITS:
        if number >= unit * 0.9995:  # rounds to one of this unit
            amount = number / unit
            return f"{amount:,.1f} {name}" if amount < _FEW - 0.05 else f"{amount:,.0f} {name}"
    return "1 byte" if round(number) == 1 else f"{number:,.0f} bytes"
