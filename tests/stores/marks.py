"""Comments and descriptions of other programs, which are no marks of a migration."""

OTHER_COMMENTS = (
    "migration 0042 of the schema",
    "Interlingua migration of the words",
    "the interlingua migration 7",
    "interlingua migration ",
    "interlingua",
    "migration",
)
