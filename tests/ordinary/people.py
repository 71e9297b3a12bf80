"""Who has an account on the ordinary site."""

EMAIL, PASSWORD = "ann@example.com", "ann's password"
