"""What travels: the STAMP codec and what its sequence numbers tell, and the control channel's messages."""
