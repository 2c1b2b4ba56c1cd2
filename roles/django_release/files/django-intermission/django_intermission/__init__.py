"""Maintenance mode for Django: closes a site with a proper 503, and knows who passes."""
