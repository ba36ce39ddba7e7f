"""The ground floor: parameters, units, words, tables. It imports nothing else of virtlab."""
