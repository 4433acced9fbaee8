"""What is made from the solutions: the stubs that students fill in, the release, the upload zip."""
