"""Who may do what: principals, tokens, roles, four-eyes, and answering a repeated request once."""
