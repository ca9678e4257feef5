"""Settings: TOML files read strictly, and sections whose later keys leave a job's digest alone."""

from protocol.settings.toml import check_settings, load_toml, parse_toml, resolve, toml_of

__all__ = ["check_settings", "load_toml", "parse_toml", "resolve", "toml_of"]
