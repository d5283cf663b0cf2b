"""What earlier runs kept, on disk: versions that name segments, and the files of a segment.

Jobs and the phases dedup and history read it. Imports the storage and units rooms.
"""
