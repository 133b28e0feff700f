"""One run from options to the last sample: plan, session, rounds, journal."""
