"""The recipe of the embedded benchmarks: images, training of several seeds at once, tables."""
