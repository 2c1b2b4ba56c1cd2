"""Load probe: asks a site at a steady rate and records exactly what every visitor would have seen.

``python -m probe run`` makes a record, ``python -m probe report`` reads one.
"""
