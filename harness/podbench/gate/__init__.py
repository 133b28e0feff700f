"""SLO files checked against a run: pass, fail or cannot tell, on the interval."""
