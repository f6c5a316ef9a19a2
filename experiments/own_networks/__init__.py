"""Two small spaces of one's own networks, trained here on scikit-learn's digits."""
