"""How many answers that were not taken a run keeps."""

MOST_OF_A_RUN = 500
"""A quarter of the updates that the server allows a run; those after it are refused unkept."""
