"""What is asked of the machine: its graphics cards, its processors, memory and disks, and our own processes."""
