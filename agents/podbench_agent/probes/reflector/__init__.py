"""The STAMP reflector: process, loop, rules, sessions."""
