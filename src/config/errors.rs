//! Everything that is wrong with a configuration: where, which rule is broken, and what to do. Never holds a
//! secret.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The problems; there is at least one.
    pub problems: Vec<ConfigProblem>,
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where the value came from.
    pub place: ConfigPlace,
    /// The rule that the value breaks, and what to do about it.
    pub rule: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    /// A file as a whole.
    File {
        /// The path, as the user gave it.
        file: PathBuf,
    },
    /// A position in a file that is not valid TOML.
    Position {
        /// The path, as the user gave it.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
    },
    /// A key in the file.
    Key {
        /// The path, as the user gave it.
        file: PathBuf,
        /// The key, such as `server.listen`.
        key: String,
        /// The line of the key, counted from 1, if it was found.
        line: Option<usize>,
    },
    /// An environment variable, by name.
    Variable(String),
    /// An argument of the command line, such as `--listen`.
    Argument(&'static str),
    /// A key that nobody has set, so that its default applies.
    Default(String),
}

impl ConfigPlace {
    /// Where a value was set, in few words; `None` for a default.
    pub fn brief(&self) -> Option<String> {
        match self {
            Self::Default(_) => None,
            Self::Variable(name) => Some(name.clone()),
            Self::Argument(name) => Some((*name).to_owned()),
            Self::Key {
                file,
                line: Some(line),
                ..
            } => Some(format!("{}:{line}", file.display())),
            Self::Key { file, .. } | Self::File { file } | Self::Position { file, .. } => {
                Some(file.display().to_string())
            }
        }
    }
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
            Self::Argument(name) => write!(f, "argument {name}"),
            Self::Default(key) => write!(f, "{key} (not set)"),
        }
    }
}
