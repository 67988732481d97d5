"""The fault bench: trials of what can go wrong, drawn with a seed, each of them bounded in time and in bytes.

A trial puts one fault in a project, runs stages or a command, and lets a healthy run follow. It has to end with the
bytes of a clean run, or with one message, exit status 1 or 2 (130 after Ctrl-C), no traceback, and nothing lost.
"""
