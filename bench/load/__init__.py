"""The load side: the calls that are sent, `wrk` at saturation, and two clients of our own.

Everything here runs on core 1, next to the mock provider.
"""
