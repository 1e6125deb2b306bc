"""Engines of others that give final states (cut 0) over plain HTTP: each has a dialect, the rest is common to them.

They keep no sessions: every request carries the whole prefix, and what they cache of it is their own affair.
"""
