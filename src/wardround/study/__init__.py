"""The study: what is asked, of which data, how it is learned and protected, as frozen values read from one TOML file."""
