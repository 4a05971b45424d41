"""The command line: options, what each verb does, what a terminal gets to see."""
