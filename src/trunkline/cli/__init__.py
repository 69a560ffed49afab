"""The command line: one file for each command, thin over the gateway and the infrastructure. The top of the tree.

What a command needs is imported when it runs, so that `--help` and mistakes in the command line are answered at once.
"""
