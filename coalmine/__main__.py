"""``python -m coalmine``: the same as the command ``coalmine``."""

from coalmine.cli import main

if __name__ == "__main__":
    main()
