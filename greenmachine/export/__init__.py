"""From an expression to one Python file that needs only torch."""

from greenmachine.export.run_export import export_run, write_discovery
from greenmachine.export.source import export_source, write_export

__all__ = ["export_run", "export_source", "write_discovery", "write_export"]
