"""Screens: small calibrated models that score posts for spam, toxicity and quality.

Imports the fastText engine, the hashed table, the text room and the contract. The rules `spam`,
`toxicity` and `quality` decide by them.
"""
