"""What the functions share: the contract (events, jobs, options) and thin ways to store and bus."""
