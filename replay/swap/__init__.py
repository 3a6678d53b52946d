"""A candidate behind another wire format: requests translated to it, replies translated back, every loss named."""
