"""What travels: the STAMP codec, what its numbers tell, and the control channel's messages."""
