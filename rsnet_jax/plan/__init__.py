"""What training costs on devices that are not there: compiled for them, counted, calculated."""
