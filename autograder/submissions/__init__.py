"""What students hand in: reading uploads of every kind, and packing one."""
