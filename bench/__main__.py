"""`python -m bench`, which is also what `accelerate launch -m bench train` starts."""

from bench.cli import main

if __name__ == "__main__":
    main()
