"""Forecasts of volatility: by attention, by HAR and by GARCH(1,1), and which of them is better."""
