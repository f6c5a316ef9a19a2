"""GreenMachine: discover zero-cost proxies by genetic programming."""
