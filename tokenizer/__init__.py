"""Text to ids to sequences to bytes: training, encoding, packing, shards. No Beam."""
