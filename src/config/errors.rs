//! What is wrong with a configuration: where, which rule, and what to do. Never a secret.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// At least one.
    pub problems: Vec<ConfigProblem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where the value came from.
    pub place: ConfigPlace,
    /// The rule that it breaks, and what to do.
    pub rule: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    /// A file as a whole.
    File {
        /// As it was named.
        file: PathBuf,
    },
    /// A place in a file that is not TOML.
    Position {
        /// As it was named.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// A key in the file.
    Key {
        /// As it was named.
        file: PathBuf,
        /// Such as `server.listen`.
        key: String,
        /// From 1, where it was found.
        line: Option<usize>,
    },
    /// An environment variable, by name.
    Variable(String),
    /// A key that is not set.
    Default(String),
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "there is 1 error in the configuration:")?,
            count => write!(f, "there are {count} errors in the configuration:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file } => write!(f, "{}", file.display()),
            Self::Position { file, line, column } => {
                write!(f, "{}: line {line}, column {column}", file.display())
            }
            Self::Key { file, key, line } => {
                write!(f, "{}: {key}", file.display())?;
                line.map_or(Ok(()), |line| write!(f, " (line {line})"))
            }
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Default(key) => write!(f, "{key} (not set)"),
        }
    }
}
