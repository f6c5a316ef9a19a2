"""Reports: one run, or several runs side by side, as one self-contained HTML file."""

from greenmachine.reports.comparison import differing_settings, write_comparison
from greenmachine.reports.report import write_report

__all__ = ["differing_settings", "write_comparison", "write_report"]
