"""Names and shapes that cross a Temporal boundary, and the ports: every activity's signature.

Nothing here decides, waits or touches the world.
"""
