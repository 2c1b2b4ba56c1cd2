"""The version of the shop, shown on every page and sent with every response."""

VERSION = "2-fails-later"
