"""Tests of how the encoder is trained."""
