"""
Names and shapes that cross a Temporal boundary, and the ports by which workflows reach the world.

Nothing here decides, waits or touches the world.
"""
