"""Faults injected into real commands: killed, full disk, flipped bits, hostile inputs.

    python -m experiments.faults                       every part, then the table
    python -m experiments.faults crashes signals       these parts, then the table of what there is
    python -m experiments.faults --scale 0.1           a tenth of the tries

Every try of a run is compared with the same run unbroken, file by file (without times): it
**survives** where all files are equal after the same command or ``--resume`` was given again, or
where one line refuses the damaged file and names it. **Wrong** is a result that differs and a file
that is lost; a traceback counts apart.

The command goes on where it was stopped: each try adds a line to ``WORK/<part>.jsonl``, and the
tries that are there are not made again.
"""
