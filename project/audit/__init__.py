"""The audit trail, once it is written: sealed into a chain, verified, and read.

What goes into it is `project.database.trails`: each entry is written in the transaction of what it tells of.
"""
