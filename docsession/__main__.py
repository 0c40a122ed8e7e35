"""`python -m docsession` is the command `docsession`."""

from docsession._cli import main

main(prog_name="docsession")
