"""Configuration: command line, environment and files in, one Settings value out.

load.py      precedence: which source wins; errors that name it     <- start here
options.py   the table of every option: kind, group, help, whether it works yet
values.py    kinds of values: text to typed value and back
given.py     what every source hands over: text, place, rank
argv.py      the command line                files.py      default places, drop-ins, variables
yamlfile.py  a YAML file                     checks.py     rules between options
minimal.py   what UDP output turns off       help.py       --help, --version, --generate-docs
"""
