"""The energy that a run takes, and the meter that measures it where codecarbon is installed."""

from greenmachine.energy.amount import ENERGY, INSTALL, Energy
from greenmachine.energy.meter import Meter, metered

__all__ = ["ENERGY", "INSTALL", "Energy", "Meter", "metered"]
