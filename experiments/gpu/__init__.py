"""One command for a machine with a GPU: correctness against the CPU, runs, time, memory."""
