"""One `bench run`: specification, plan, session, journal."""
