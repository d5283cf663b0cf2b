"""Phase phrases: which n-grams and short items of evaluation sets are common phrases, and so tell no item."""
