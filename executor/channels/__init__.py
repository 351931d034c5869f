"""How tensors get from rank to rank: the channel's protocol, its transports, and how K/V travels on it."""
