"""Schema history of the orders."""
