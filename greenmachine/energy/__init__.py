"""The energy that a run uses, and the meter that measures it if codecarbon is installed."""

from greenmachine.energy.amount import ENERGY, INSTALL, Energy
from greenmachine.energy.meter import Meter, metered

__all__ = ["ENERGY", "INSTALL", "Energy", "Meter", "metered"]
