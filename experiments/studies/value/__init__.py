"""What each partner's data are worth: Shapley values over all coalitions, families of columns, value against price."""
