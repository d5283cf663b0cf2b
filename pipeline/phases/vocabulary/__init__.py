"""Phase vocabulary: survivors -> counted words -> tokenizer.json, or a frozen tokenizer."""
