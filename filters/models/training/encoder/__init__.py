"""Trains the encoder that ships as `sluice-encoder`: its base, its posts, its network and its files."""
