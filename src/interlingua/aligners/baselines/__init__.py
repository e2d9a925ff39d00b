"""Published methods and controls to compare with, one module for each method."""
