"""Two small spaces of a user's own networks, trained here on scikit-learn's digits."""
