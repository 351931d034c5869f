"""Cases to try, how they are ranked, and what is proven of them."""
