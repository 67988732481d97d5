"""Questions about a sample, and ways to hand it on, that make no output of DVC.

The module of each (the table in `pipeline.__main__`) has `arguments(parser)`, which adds its arguments, and
`run(options)`, which yields what to print.
"""
