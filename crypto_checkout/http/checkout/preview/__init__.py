"""The picture of a shared page: `picture` lays it out, `lettering` sets its lines, `png` writes it. No HTTP."""
