"""``method="linear"``: the unpaired linear solver of this project, from starts to the non-orthogonal stage."""
