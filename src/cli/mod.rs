//! Ring 4. Arguments, configuration, one file per command.
