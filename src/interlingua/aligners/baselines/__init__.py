"""Published methods and controls to measure against, one module a method."""
