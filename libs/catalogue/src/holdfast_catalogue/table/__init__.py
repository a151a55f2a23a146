"""The rows of the catalogue, one module for each service that watches them."""
