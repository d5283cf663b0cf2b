"""The vocabulary: Arrow schemas, errors and file formats that every other package speaks."""
