"""Phase score, the one phase of `sluice score`: input units -> every score of every post, and no decision."""
