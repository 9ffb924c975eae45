//! The plugin as a process: arguments in, both streams and the exit code out.
