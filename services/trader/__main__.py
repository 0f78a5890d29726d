"""`python -m services.trader` is the same as `trader`."""

from services.trader import main

main()
