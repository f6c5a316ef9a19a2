"""Reports: a run, or several beside each other, as one HTML file that needs nothing else."""

from greenmachine.reports.comparison import differing_settings, write_comparison
from greenmachine.reports.report import write_report

__all__ = ["differing_settings", "write_comparison", "write_report"]
