"""The data set as published: opened, indexed, verified, and read member by member, from disk or over HTTP."""
