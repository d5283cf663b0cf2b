"""Phase classify: survivors -> the scores of transformers, and what they reject."""
