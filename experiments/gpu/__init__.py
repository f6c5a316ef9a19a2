"""Compare a GPU with the CPU in one command: correctness, whole runs, time and memory."""
