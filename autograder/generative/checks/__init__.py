"""The checks: pytest functions that ask a submission through probes and judge the observations."""
