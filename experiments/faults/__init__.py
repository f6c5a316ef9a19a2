"""Inject faults into real commands: kills, full disks, flipped bits and hostile inputs.

    python -m experiments.faults                             every part, then the table
    python -m experiments.faults "crash points" signals      these parts, then the table of all
    python -m experiments.faults --scale 0.1                 a tenth of the trials

Every trial of a run is compared, file by file and without times, with the same run without a fault.
It **survives** if all files are equal after the same command or ``--resume`` is given again, or if
one line refuses the damaged file and names it. It is **wrong** if a result differs or a file is
lost. Tracebacks are counted separately.

If the command is stopped, the same command continues: each trial adds a line to
``WORK/<part>.jsonl`` and is not repeated.
"""
