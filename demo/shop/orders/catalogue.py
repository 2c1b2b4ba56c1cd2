"""What the shop sells."""

#: Unit price of each product, in cents.
UNIT_PRICES = {
    "Teapot": 3490,
    "Tea cup": 890,
    "Kettle": 5900,
    "Strainer": 650,
    "Tea tin": 1250,
    "Green tea": 790,
    "Black tea": 690,
    "Honey": 560,
}
