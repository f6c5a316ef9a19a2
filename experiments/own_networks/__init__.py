"""Two small benchmarks of a user's own networks, trained here on scikit-learn's digits."""
