"""Small duties that every room shares: errors, files, random numbers, progress, processes."""
