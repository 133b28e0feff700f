"""The latency probe's sender: process, loop, flows, intake, notes, schedule."""
