"""The shipped spam and toxicity models, their calibration, their cards, and how they were made."""
