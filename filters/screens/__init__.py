"""Screens: small calibrated models that score posts for spam and toxicity.

Imports the fastText engine, the hashed table, the text room and the contract. The rules `spam` and
`toxicity` decide by them.
"""
