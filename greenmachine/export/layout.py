"""Format generated Python and prose in lines of 100 columns, as ruff would."""

from __future__ import annotations

from collections.abc import Sequence

from greenmachine.language import Expression

__all__ = ["WIDTH", "broken", "indented", "literal", "pieces", "pretty"]

WIDTH = 100


def broken(line: str, indent: int) -> str:
    """Return ``line``, split at its outermost brackets if it is too long."""
    start, end = line.find("("), line.rfind(")")
    if indent + len(line) <= WIDTH or "\n" in line or start < 0 or end < start:
        return line
    *parts, last = split_arguments(line[start + 1 : end])
    comma = not last  # a tuple of one
    parts += [last] if last else []
    inner = " " * (indent + 4)
    together = ", ".join(parts)
    if len(inner) + len(together) <= WIDTH and not comma:
        body = f"{inner}{together}\n"
    else:
        body = "".join(f"{inner}{part},\n" for part in parts)
    return f"{line[: start + 1]}\n{body}{' ' * indent}{line[end:]}"


def split_arguments(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def indented(lines: Sequence[str], indent: int = 4) -> str:
    """Return the lines of a block, each formatted at ``indent``."""
    return "\n".join(" " * indent + broken(line, indent) for line in lines)


def literal(name: str, text: str) -> str:
    """Return the assignment of a string, over several lines if it is too long."""
    line = f"{name} = {_quoted(text)}"
    if len(line) <= WIDTH:
        return line
    return f"{name} = (\n" + "".join(f"    {_quoted(p)}\n" for p in pieces(text, WIDTH - 8)) + ")"


def pieces(text: str, width: int) -> list[str]:
    """Split an expression into lines, preferably after an argument or a bracket."""
    found, start = [], 0
    while start < len(text):
        end = start + width
        if end < len(text):
            end = max(text.rfind(mark, start, end) + len(mark) for mark in (", ", "(")) or end
            end = end if end > start + 1 else start + width
        found.append(text[start:end])
        start = end
    return found


def pretty(expression: Expression, indent: int = 4, width: int = WIDTH) -> str:
    """Return the expression at ``indent``, with arguments on separate lines if it is long."""
    line = " " * indent + expression.text
    if len(line) <= width or not expression.args:
        return line
    # One column less: a comma may follow.
    inner = ",\n".join(pretty(argument, indent + 4, width - 1) for argument in expression.args)
    return f"{' ' * indent}{expression.op}(\n{inner}\n{' ' * indent})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
